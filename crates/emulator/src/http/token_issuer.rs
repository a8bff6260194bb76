//! The token endpoint of Microsoft Entra ID, for client credentials.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64_simd::URL_SAFE_NO_PAD;
use url::form_urlencoded;

use crate::data::random::{hash, mix};
use crate::http::client_assertion::{SignInError, check};
use crate::http::response::HttpResponse;
use crate::identity::{APPLICATIONS, TENANT_ID, application};
use crate::scenario::service_settings::{ApplicationSpec, TokenSettings};

/// Issues tokens and checks them.
#[derive(Debug)]
pub(crate) struct TokenService {
    settings: TokenSettings,
    /// The roles of the applications; `None`: tokens carry none.
    roles: Option<Vec<String>>,
    /// How many requests of each application are still accepted.
    remaining: [AtomicU64; APPLICATIONS.len()],
    issued: Mutex<HashMap<String, IssuedToken>>,
}

#[derive(Debug)]
struct IssuedToken {
    until: Instant,
    requests_left: Option<u64>,
    application: usize,
    /// The origin for which it is valid.
    audience: String,
}

impl TokenService {
    pub(crate) fn new(settings: TokenSettings, roles: Option<Vec<String>>, applications: &[ApplicationSpec]) -> Self {
        let remaining = std::array::from_fn(|at| {
            let spec = applications.iter().find(|spec| spec.number == at + 1);
            AtomicU64::new(spec.and_then(|spec| spec.revoked_after).unwrap_or(u64::MAX))
        });
        Self { settings, roles, remaining, issued: Mutex::new(HashMap::new()) }
    }

    /// Answers a token request; also returns the application. `form` is its body, `url` its address.
    pub(crate) fn issue(&self, tenant: &str, form: &[u8], url: &str) -> (HttpResponse, Option<usize>) {
        let form: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        let id = form.get("client_id").map_or("", String::as_str);
        let answer = match self.granted(tenant, &form, url) {
            Ok((application, audience)) => {
                let (token, lifetime) = self.make(application, audience);
                let body = serde_json::json!({
                    "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token,
                });
                HttpResponse::utf8_json(200, &body)
            }
            Err(refused) => refuse(&refused),
        };
        (answer, application(id))
    }

    /// The authenticated application and the requested audience.
    fn granted<'a>(
        &self,
        tenant: &str,
        form: &'a HashMap<String, String>,
        url: &str,
    ) -> Result<(usize, &'a str), SignInError> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if tenant != TENANT_ID {
            let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
            return Err(SignInError::new(90_002, text));
        }
        match field("grant_type") {
            "client_credentials" => {}
            "" => return Err(missing("grant_type")),
            _ => return Err(SignInError::new(70_003, "The app requested an unsupported grant type.")),
        }
        let id = field("client_id");
        let unknown = || SignInError::new(700_016, format!("Application with identifier '{id}' was not found."));
        let application = application(id).ok_or_else(unknown)?;
        if self.remaining[application].load(Ordering::Relaxed) == 0 {
            return Err(SignInError::new(7_000_112, format!("Application '{id}' is disabled.")));
        }
        if form.contains_key("client_assertion") {
            if field("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
                return Err(missing("client_assertion_type"));
            }
            check(field("client_assertion"), id, url)?;
        } else if field("client_secret") != APPLICATIONS[application].1 {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the \
                 client secret ID, for a secret added to app '{id}'."
            );
            return Err(SignInError::new(7_000_215, text));
        }
        let scope = field("scope");
        let audience = scope.strip_suffix("/.default").ok_or_else(|| {
            SignInError::new(1_002_012, format!("The provided value for scope {scope} is not valid."))
        })?;
        Ok((application, audience))
    }

    /// Issues a token; also returns the lifetime to declare, in seconds.
    pub(crate) fn make(&self, application: usize, audience: &str) -> (String, u64) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let number = issued.len() as u64 + 1;
        let token = self.signed(application, audience, number);
        let until = Instant::now() + Duration::from_secs(self.settings.lifetime);
        let made =
            IssuedToken { until, requests_left: self.settings.requests, application, audience: origin(audience) };
        issued.insert(token.clone(), made);
        (token, self.settings.lifetime.saturating_sub(u64::from(self.settings.lifetime > 1)))
    }

    /// A JSON Web Token with a made-up signature.
    fn signed(&self, application: usize, audience: &str, number: u64) -> String {
        // Clients use the real time, whatever the scenario's clock says.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = serde_json::json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{TENANT_ID}/"), "iat": now, "nbf": now,
            "exp": now + self.settings.lifetime, "appid": APPLICATIONS[application].0, "tid": TENANT_ID, "ver": "1.0",
        });
        if let Some(roles) = &self.roles {
            claims["roles"] = roles.clone().into();
        }
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        let header = part(br#"{"typ":"JWT","alg":"RS256","kid":"emulator"}"#);
        let signature = part(format!("{number}.{:016x}", mix(hash(audience.as_bytes()), number)).as_bytes());
        format!("{header}.{}.{signature}", part(claims.to_string().as_bytes()))
    }

    /// The token of an `Authorization` header, even an expired one.
    fn with_token<T>(&self, authorization: Option<&str>, work: impl FnOnce(&mut IssuedToken) -> T) -> Option<T> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get_mut(bearer(authorization?)?).map(work)
    }

    /// Whether the token is valid for one more request, to one of these origins.
    pub(crate) fn accept(&self, authorization: Option<&str>, origins: &[&str]) -> bool {
        let accepted = self.with_token(authorization, |token| {
            if Instant::now() >= token.until || !origins.iter().any(|own| origin(own) == token.audience) {
                return false;
            }
            let used = |left: u64| left.checked_sub(u64::from(left < u64::MAX));
            let remaining = &self.remaining[token.application];
            if remaining.fetch_update(Ordering::Relaxed, Ordering::Relaxed, used).is_err() {
                return false;
            }
            match &mut token.requests_left {
                Some(0) => false,
                left => {
                    *left = left.map(|left| left - 1);
                    true
                }
            }
        });
        accepted.unwrap_or(false)
    }

    /// The application that the token was issued to.
    pub(crate) fn holder(&self, authorization: Option<&str>) -> Option<usize> {
        self.with_token(authorization, |token| token.application)
    }

    /// Expires the token.
    pub(crate) fn expire(&self, authorization: Option<&str>) {
        self.with_token(authorization, |token| token.requests_left = Some(0));
    }
}

/// An origin, normalized for comparison.
fn origin(text: &str) -> String {
    text.trim_end_matches('/').to_lowercase()
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn missing(parameter: &str) -> SignInError {
    let text = format!("The request body must contain the following parameter: '{parameter}'.");
    SignInError::new(900_144, text)
}

/// An error response in Entra ID's shape.
fn refuse(SignInError { code, text }: &SignInError) -> HttpResponse {
    let (status, error) = match code {
        90_002 | 900_144 => (400, "invalid_request"),
        70_003 => (400, "unsupported_grant_type"),
        700_016 | 7_000_112 => (400, "unauthorized_client"),
        1_002_012 => (400, "invalid_scope"),
        _ => (401, "invalid_client"),
    };
    let body = serde_json::json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text} Trace ID: 00000000-0000-0000-0000-000000000000"),
        "error_codes": [code],
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    HttpResponse::utf8_json(status, &body)
}

/// The 401 of an API request without a valid token; `origin` is `http://host:port`.
pub(crate) fn challenge(origin: &str) -> HttpResponse {
    let mut answer = HttpResponse::json(401, Vec::new());
    let value = format!("Bearer authorization_uri={origin}/{TENANT_ID}/oauth2/authorize, resource_id={origin}/");
    answer.header(hyper::header::WWW_AUTHENTICATE, &value);
    answer
}
