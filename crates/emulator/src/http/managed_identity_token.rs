//! Managed identities: tokens for programs on Azure machines.
//!
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token> and
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity>

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use url::form_urlencoded;

use crate::http::response::HttpResponse;
use crate::http::token_issuer::TokenService;
use crate::identity::{APPLICATIONS, IDENTITY_HEADER, TENANT_ID, application};

/// Where the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// A virtual machine, by the instance metadata service.
    Machine,
    /// App Service, Functions and the like.
    AppService,
}

impl TokenService {
    /// Answers a request for a managed identity's token; also returns the application.
    pub(crate) fn issue_managed(&self, host: Host, headers: &HeaderMap, query: &str) -> (HttpResponse, Option<usize>) {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let field = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(of, _)| of == name).map(|(_, v)| v);
        match host {
            Host::Machine if !header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) => {
                return (refuse(400, "bad_request_102", "Required metadata header not specified"), None);
            }
            // A forwarded request may come from another machine.
            Host::Machine if headers.contains_key("x-forwarded-for") => {
                return (refuse(400, "bad_request_102", "Header X-Forwarded-For is not allowed"), None);
            }
            Host::AppService if header("x-identity-header") != Some(IDENTITY_HEADER) => {
                return (refuse(403, "forbidden", "The X-IDENTITY-HEADER is missing or wrong"), None);
            }
            Host::Machine | Host::AppService => {}
        }
        if field("api-version").is_none_or(|version| version.is_empty()) {
            return (refuse(400, "bad_request_101", "Required query variable 'api-version' is missing"), None);
        }
        let Some(resource) = field("resource").filter(|resource| !resource.is_empty()) else {
            return (refuse(400, "bad_request_101", "Required query variable 'resource' is missing"), None);
        };
        let identity = field("client_id").map_or(Some(0), |id| application(&id));
        let Some(identity) = identity else {
            let answer = match host {
                Host::Machine => refuse(400, "invalid_request", "Identity not found"),
                Host::AppService => unknown_identity(),
            };
            return (answer, None);
        };
        let (token, lifetime) = self.make(identity, &resource);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut body = serde_json::json!({
            "access_token": token, "expires_on": (now + lifetime).to_string(), "resource": resource, "token_type": "Bearer",
            "client_id": APPLICATIONS[identity].0,
        });
        if host == Host::Machine {
            body["expires_in"] = lifetime.to_string().into();
            body["ext_expires_in"] = lifetime.to_string().into();
            body["not_before"] = now.to_string().into();
        }
        (HttpResponse::utf8_json(200, &body), Some(identity))
    }
}

/// App Service has its own shape for this error.
fn unknown_identity() -> HttpResponse {
    let message = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
    let body = serde_json::json!({ "statusCode": 400, "message": message, "correlationId": TENANT_ID });
    HttpResponse::utf8_json(400, &body)
}

fn refuse(status: u16, error: &str, description: &str) -> HttpResponse {
    let body = serde_json::json!({ "error": error, "error_description": description });
    HttpResponse::utf8_json(status, &body)
}
