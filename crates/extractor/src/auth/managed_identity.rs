//! Managed identities: the platform issues tokens for the machine's identity at a local endpoint.
//!
//! IMDS of virtual machines and container instances:
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>. App Service,
//! Functions and Container Apps: <https://learn.microsoft.com/azure/app-service/overview-managed-identity>.

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, RequestBuilder};
use url::Url;

use super::secret::Secret;
use super::token_response::OAuthError;
use crate::error::Error;
use crate::http::backoff::Backoff;
use crate::http::origin::require_http;
use crate::http::retry::RetryPolicy;

/// The instance metadata service (IMDS) of every Azure virtual machine.
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

const MISSING: &str = "the machine has no such identity; assign one to it, and check `auth.client_id`: the client id of \
                       a user-assigned identity, empty for the system-assigned one";

/// The machine's system-assigned identity, or a user-assigned one.
#[derive(Debug)]
pub(crate) struct ManagedIdentity {
    /// The token endpoint with its query.
    pub(super) url: Url,
    header: Option<Secret>,
}

impl ManagedIdentity {
    /// With a header the endpoint is App Service's, otherwise IMDS. An empty client id means the system-assigned
    /// identity.
    pub(super) fn new(
        endpoint: Option<Url>,
        header: Option<Secret>,
        client_id: &str,
        resource: &str,
    ) -> Result<Self, Error> {
        let mut url = match endpoint {
            Some(endpoint) => {
                // The platform sets it and it does not leave the machine, so http:// is fine whatever the address.
                require_http("IDENTITY_ENDPOINT", &endpoint)?;
                endpoint
            }
            None if header.is_some() => {
                return Err(Error::Usage { what: "IDENTITY_HEADER is set, but IDENTITY_ENDPOINT is not".to_owned() });
            }
            None => Url::parse(IMDS).map_err(|error| Error::Usage { what: error.to_string() })?,
        };
        let version = if header.is_some() { "2019-08-01" } else { "2018-02-01" };
        url.query_pairs_mut().clear().append_pair("api-version", version).append_pair("resource", resource);
        if !client_id.is_empty() {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(Self { url, header })
    }

    /// The request, with the header that protects the endpoint against request forgery.
    pub(super) fn request(&self, http: &Client) -> Result<RequestBuilder, Error> {
        let request = http.get(self.url.clone()).header(ACCEPT, "application/json");
        let Some(header) = &self.header else { return Ok(request.header("metadata", "true")) };
        let mut value = HeaderValue::from_str(header.reveal())
            .map_err(|_| Error::Usage { what: "IDENTITY_HEADER cannot be sent as a header".to_owned() })?;
        value.set_sensitive(true);
        Ok(request.header("x-identity-header", value))
    }

    /// Whether a status that is permanent elsewhere is transient for IMDS: the service is starting or being updated.
    pub(super) fn is_transient(&self, status: u16) -> bool {
        self.header.is_none() && matches!(status, 404 | 410)
    }
}

/// The documentation asks for waits of at least a second, and for 70 s of retries while IMDS is updated; this policy
/// lasts longer.
pub(super) fn retry_policy(retry_policy: &RetryPolicy) -> RetryPolicy {
    let backoff = Backoff { initial: retry_policy.backoff.initial * 2, ..retry_policy.backoff };
    RetryPolicy { backoff, ..*retry_policy }
}

pub(super) fn refused(status: u16, body: &[u8]) -> Error {
    let refusal = OAuthError::read(body);
    let (number, error) = refusal.as_ref().map_or(("", ""), |refusal| (&refusal.number, &refusal.error));
    let unknown = refusal.as_ref().is_some_and(|refusal| refusal.description.contains("dentity not found"));
    let advice = match (status, number, error) {
        (401, ..) => {
            "the endpoint demands a kind of proof that is not supported, as Azure Arc does; use another `auth.method`"
        }
        (403, ..) => "the endpoint denies access to this program; check IDENTITY_HEADER and the machine's firewall",
        (_, "500011" | "650057", _) | (_, _, "invalid_resource") => {
            "the tenant does not know the service; check `dataverse.url` or `graph.url`"
        }
        (_, _, "identity_not_found") => MISSING,
        _ if unknown => MISSING,
        // App Service says so without a code.
        (400, _, "") => MISSING,
        (_, _, "") => "the endpoint does not answer like a managed identity's; is this a machine in Azure?",
        _ => "the managed identity is not accepted; check that it is assigned to the machine, and `auth.client_id`",
    };
    let code = refusal.map_or_else(|| format!("status {status}"), |refusal| refusal.code());
    Error::SignInRefused { code, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_imds_or_the_one_that_the_platform_names() {
        let resource = "https://contoso.crm.dynamics.com";
        let encoded = "resource=https%3A%2F%2Fcontoso.crm.dynamics.com";
        let machine = |endpoint: Option<&str>, header: Option<&str>, client_id: &str| {
            let endpoint = endpoint.map(|endpoint| Url::parse(endpoint).unwrap());
            ManagedIdentity::new(endpoint, header.map(Secret::new), client_id, resource)
        };
        let imds = machine(None, None, "").unwrap().url;
        assert_eq!(imds.as_str(), format!("{IMDS}?api-version=2018-02-01&{encoded}"));
        let app = machine(Some("http://10.1.2.3:8081/msi/token?x=1"), Some("h"), "c").unwrap().url;
        let expected = format!("http://10.1.2.3:8081/msi/token?api-version=2019-08-01&{encoded}&client_id=c");
        assert_eq!(app.as_str(), expected);
        assert!(matches!(machine(None, Some("h"), ""), Err(Error::Usage { .. })));
        for bad in ["ftp://10.1.2.3/", "http://user:hunter2@10.1.2.3/", "data:x"] {
            let error = machine(Some(bad), None, "").unwrap_err().to_string();
            assert!(error.starts_with("`IDENTITY_ENDPOINT` ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_and_nothing_of_its_text() {
        let shown = |status, body: &str| refused(status, body.as_bytes()).to_string();
        for body in [
            r#"{"error":"identity_not_found","error_description":"hunter2"}"#,
            r#"{"error":"invalid_request","error_description":"Identity not found hunter2"}"#,
            r#"{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found hunter2"}"#,
        ] {
            let text = shown(400, body);
            assert!(text.contains("assign one to it") && text.contains("`auth.client_id`"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let text = shown(400, r#"{"error":"invalid_resource","error_description":"AADSTS500011: The resource"}"#);
        assert!(text.starts_with("sign-in refused (AADSTS500011): the tenant does not know the service"), "{text}");
        assert!(shown(401, "").contains("Azure Arc"));
        assert!(shown(403, "").contains("IDENTITY_HEADER"));
        assert!(shown(418, "<html>").starts_with("sign-in refused (status 418): the endpoint does not answer like"));
    }
}
