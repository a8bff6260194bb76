//! Applications: client credentials for Microsoft Entra ID, proved by a secret, a certificate or a federated token.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use url::{Url, form_urlencoded};

use super::certificate::Certificate;
use super::credential_file;
use super::secret::Secret;
use super::token_response::OAuthError;
use crate::error::Error;
use crate::http::origin::require_secure;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application that signs in as itself.
#[derive(Debug)]
pub(crate) struct EntraApplication {
    /// The token endpoint.
    pub(super) url: Url,
    client_id: String,
    scope: String,
    proof: Proof,
}

/// What proves the application's identity.
#[derive(Debug)]
pub(super) enum Proof {
    Secret(Secret),
    Certificate { file: PathBuf, password: Option<Secret> },
    Federated { token_file: PathBuf },
}

impl EntraApplication {
    /// Rejects settings that cannot work, before anything is sent.
    pub(super) fn new(
        authority: &Url,
        tenant_id: &str,
        client_id: String,
        resource: &str,
        proof: Proof,
    ) -> Result<Self, Error> {
        require_secure("auth.authority", authority)?;
        check_tenant(tenant_id)?;
        if client_id.is_empty() {
            return Err(usage("`auth.client_id` is missing"));
        }
        let mut url = authority.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut()
            .map_err(|()| usage("`auth.authority` must begin with https://"))?
            .pop_if_empty()
            .extend([tenant_id, "oauth2", "v2.0", "token"]);
        let app = Self { url, client_id, scope: format!("{resource}/.default"), proof };
        app.fields()?;
        Ok(app)
    }

    /// A token request with a fresh proof.
    pub(super) fn request(&self, http: &Client) -> Result<RequestBuilder, Error> {
        let fields = self.fields()?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .extend_pairs(fields.iter().map(|(name, value)| (name, value.reveal())))
            .append_pair("scope", &self.scope)
            .finish();
        Ok(http
            .post(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form))
    }

    /// The form fields that hold the proof.
    fn fields(&self) -> Result<Vec<(&'static str, Secret)>, Error> {
        let assertion = match &self.proof {
            Proof::Secret(secret) if secret.is_empty() => return Err(usage("`auth.client_secret` is missing")),
            Proof::Secret(secret) => return Ok(vec![("client_secret", secret.clone())]),
            Proof::Certificate { file, password } => {
                Certificate::read(file, password.as_ref())?.assertion(&self.client_id, &self.url, SystemTime::now())?
            }
            Proof::Federated { token_file } => federated_token(token_file)?,
        };
        Ok(vec![("client_assertion_type", Secret::new(ASSERTION_TYPE)), ("client_assertion", assertion)])
    }

    /// What a refusal means, and what to do about it.
    pub(super) fn refused(&self, status: u16, body: &[u8]) -> Error {
        let Some(refusal) = OAuthError::read(body) else {
            let advice =
                "the authority does not answer like Microsoft Entra ID; check `auth.authority` and `auth.tenant_id`";
            return Error::SignInRefused { code: format!("status {status}"), advice };
        };
        let advice = advice(&self.proof, &refusal.number, &refusal.error);
        Error::SignInRefused { code: refusal.code(), advice }
    }
}

/// Rejects a tenant id that would change the path of the URL.
pub(super) fn check_tenant(tenant_id: &str) -> Result<(), Error> {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if tenant_id.starts_with(|c: char| c.is_ascii_alphanumeric()) && tenant_id.chars().all(name) {
        return Ok(());
    }
    Err(usage("`auth.tenant_id` must be the directory's id or domain name"))
}

/// The token in the file that the platform writes, and renews before it expires.
fn federated_token(path: &Path) -> Result<Secret, Error> {
    let text = credential_file::read_text("AZURE_FEDERATED_TOKEN_FILE", path)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(usage("the file of `AZURE_FEDERATED_TOKEN_FILE` holds no token"));
    }
    Ok(Secret::new(token))
}

/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
fn advice(proof: &Proof, number: &str, error: &str) -> &'static str {
    match (number, error, proof) {
        ("7000215", ..) => "the client secret is wrong; `auth.client_secret` must be the secret's value, not its id",
        ("7000222", ..) => "the client secret has expired; create a new one in the app registration",
        ("700027", ..) => {
            "the app registration does not know the certificate, or it is not valid now; upload the certificate of \
             `auth.client_certificate_file` to the app registration"
        }
        ("700024" | "500133", _, Proof::Federated { .. }) => {
            "the federated token is not valid now; check that the platform renews AZURE_FEDERATED_TOKEN_FILE, and the \
             machine's clock"
        }
        ("700024" | "500133", ..) => "the assertion is not valid now; check the machine's clock",
        ("70021", ..) => {
            "no federated credential of the application matches the token; compare issuer, subject and audience"
        }
        ("700211", ..) => "no federated credential of the application has the token's issuer; correct its issuer",
        ("700212", ..) => "no federated credential of the application has the token's audience; correct its audience",
        ("700213", ..) => "no federated credential of the application has the token's subject; correct its subject",
        ("700016", ..) => "the tenant does not know the application; check `auth.client_id` and `auth.tenant_id`",
        ("90002" | "900023", ..) => "there is no such tenant; check `auth.tenant_id` and `auth.authority`",
        ("500011" | "650057", ..) => {
            "the tenant does not know the service; check `dataverse.url` or `graph.url`, and `auth.tenant_id`"
        }
        ("7000112", ..) => "the application is disabled; an administrator must enable it",
        ("53003" | "530031" | "530034", ..) => "a conditional access policy blocks the application",
        (_, "invalid_scope", _) => "the service is not accepted as a scope; check `dataverse.url` or `graph.url`",
        (_, "invalid_client", Proof::Certificate { .. }) => {
            "the client id or the certificate is not accepted; check both, and whether the certificate is uploaded"
        }
        (_, "invalid_client", Proof::Federated { .. }) => {
            "the client id or the federated token is not accepted; check the application's federated credentials"
        }
        (_, "invalid_client", _) => {
            "the client id or the secret is not accepted; check both, and whether the secret has expired"
        }
        (_, "unauthorized_client", _) => {
            "the application may not sign in by itself; check `auth.client_id` and `auth.tenant_id`"
        }
        (_, _, Proof::Certificate { .. }) => {
            "check `auth.tenant_id`, `auth.client_id` and `auth.client_certificate_file`"
        }
        (_, _, Proof::Federated { .. }) => {
            "check `auth.tenant_id`, `auth.client_id` and the application's federated credentials"
        }
        _ => "check `auth.tenant_id`, `auth.client_id` and `auth.client_secret`",
    }
}

fn usage(what: &str) -> Error {
    Error::Usage { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(tenant_id: &str, proof: Proof) -> Result<EntraApplication, Error> {
        let authority = Url::parse("https://login.example/base/?x=1").unwrap();
        EntraApplication::new(&authority, tenant_id, "c".into(), "https://contoso.crm.dynamics.com", proof)
    }

    fn secret() -> Proof {
        Proof::Secret(Secret::new("s"))
    }

    #[test]
    fn a_refusal_shows_its_code_and_nothing_of_its_text() {
        let app = app("t", secret()).unwrap();
        let refused = |status, body| app.refused(status, body).to_string();
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 'hunter2' provided. Trace ID: 1"}"#;
        let text = refused(401, body);
        assert!(text.starts_with("sign-in refused (AADSTS7000215): the client secret is wrong"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("Trace"));
        let text = refused(400, br#"{"error":"invalid_client"}"#);
        assert!(text.starts_with("sign-in refused (invalid_client): "), "{text}");
        let text = refused(404, b"<html>hunter2");
        assert!(text.starts_with("sign-in refused (status 404): the authority does not answer"), "{text}");
    }

    #[test]
    fn advice_fits_the_method() {
        let certificate = Proof::Certificate { file: "x.pem".into(), password: None };
        let federated = Proof::Federated { token_file: "token".into() };
        for (proof, number, error, word) in [
            (&certificate, "700027", "invalid_client", "upload the certificate"),
            (&certificate, "700024", "invalid_client", "the machine's clock"),
            (&certificate, "", "invalid_client", "certificate is uploaded"),
            (&certificate, "1", "x", "`auth.client_certificate_file`"),
            (&federated, "70021", "invalid_request", "issuer, subject and audience"),
            (&federated, "700211", "invalid_client", "issuer"),
            (&federated, "700212", "invalid_client", "audience"),
            (&federated, "700213", "invalid_client", "subject"),
            (&federated, "700024", "invalid_client", "AZURE_FEDERATED_TOKEN_FILE"),
            (&federated, "", "invalid_client", "federated"),
            (&federated, "1", "x", "federated"),
        ] {
            let advice = advice(proof, number, error);
            assert!(advice.contains(word) && !advice.contains("secret"), "{number} {error}: {advice}");
        }
        assert!(advice(&secret(), "1", "x").contains("`auth.client_secret`"));
    }

    #[test]
    fn the_token_url_is_the_tenants() {
        let found = app("contoso.onmicrosoft.com", secret()).unwrap().url;
        assert_eq!(found.as_str(), "https://login.example/base/contoso.onmicrosoft.com/oauth2/v2.0/token");
        for bad in ["", "..", "a/b", "a?b", " "] {
            assert!(matches!(app(bad, secret()), Err(Error::Usage { .. })), "{bad:?}");
        }
        assert!(matches!(app("t", Proof::Secret(Secret::new(""))), Err(Error::Usage { .. })));
    }
}
