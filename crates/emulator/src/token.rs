//! The token endpoint of Microsoft Entra ID, for client credentials.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::form_urlencoded;

use crate::random::{hash, mix};
use crate::reply::Answer;
use crate::scenario::TokenSettings;
use crate::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};

/// The tokens that were given out.
#[derive(Debug)]
pub(crate) struct Tokens {
    settings: TokenSettings,
    given: Mutex<HashMap<String, Token>>,
}

#[derive(Debug)]
struct Token {
    until: Instant,
    requests_left: Option<u64>,
}

impl Tokens {
    pub(crate) fn new(settings: TokenSettings) -> Self {
        Self { settings, given: Mutex::new(HashMap::new()) }
    }

    /// Answers a request for a token; `form` is its body.
    pub(crate) fn give(&self, tenant: &str, form: &[u8]) -> Answer {
        let form: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let scope = field("scope");
        if tenant != TENANT_ID {
            let text =
                format!("AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
            return refuse(400, "invalid_request", 90_002, &text);
        }
        match field("grant_type") {
            "client_credentials" => {}
            "" => {
                let text = "AADSTS900144: The request body must contain the following parameter: 'grant_type'.";
                return refuse(400, "invalid_request", 900_144, text);
            }
            _ => {
                let text = "AADSTS70003: The app requested an unsupported grant type.";
                return refuse(400, "unsupported_grant_type", 70_003, text);
            }
        }
        if field("client_id") != CLIENT_ID {
            let text = format!("AADSTS700016: Application with identifier '{}' was not found.", field("client_id"));
            return refuse(400, "unauthorized_client", 700_016, &text);
        }
        if field("client_secret") != CLIENT_SECRET {
            let text = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the \
                        client secret value, not the client secret ID, for a secret added to app \
                        '22222222-2222-2222-2222-222222222222'.";
            return refuse(401, "invalid_client", 7_000_215, text);
        }
        if !scope.ends_with("/.default") {
            let text = format!("AADSTS1002012: The provided value for scope {scope} is not valid.");
            return refuse(400, "invalid_scope", 1_002_012, &text);
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let number = given.len() as u64 + 1;
        let token = format!("emulator.{number}.{:016x}", mix(hash(scope.as_bytes()), number));
        let until = Instant::now() + Duration::from_secs(self.settings.lifetime);
        given.insert(token.clone(), Token { until, requests_left: self.settings.requests });
        let lifetime = self.settings.lifetime.saturating_sub(u64::from(self.settings.lifetime > 1));
        let body = serde_json::json!({
            "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token,
        });
        Answer::new(200, "application/json; charset=utf-8", [body.to_string().into()])
    }

    /// Whether the token of an `Authorization` header is good for one more request.
    pub(crate) fn accept(&self, authorization: Option<&str>) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let token = authorization.and_then(bearer).and_then(|token| given.get_mut(token));
        let Some(token) = token.filter(|token| Instant::now() < token.until) else { return false };
        match &mut token.requests_left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Makes the token void.
    pub(crate) fn expire(&self, authorization: Option<&str>) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = authorization.and_then(bearer).and_then(|token| given.get_mut(token)) {
            token.requests_left = Some(0);
        }
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A refusal of the shape that Entra ID has.
fn refuse(status: u16, error: &str, code: u32, description: &str) -> Answer {
    let body = serde_json::json!({
        "error": error,
        "error_description": format!("{description} Trace ID: 00000000-0000-0000-0000-000000000000"),
        "error_codes": [code],
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Answer::new(status, "application/json; charset=utf-8", [body.to_string().into()])
}

/// The 401 of an API call without a good token.
pub(crate) fn challenge(host: &str) -> Answer {
    let mut answer = Answer::json(401, Vec::new());
    let value =
        format!("Bearer authorization_uri=http://{host}/{TENANT_ID}/oauth2/authorize, resource_id=http://{host}/");
    answer.header(hyper::header::WWW_AUTHENTICATE, &value);
    answer
}
