//! Signing in: client credentials against Microsoft Entra ID.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use tracing::{debug, warn};
use url::{Url, form_urlencoded};

use crate::body;
use crate::error::{Call, Error};
use crate::fault::Passing;
use crate::origin::{require_secure, without_query};
use crate::retry::{Patience, Tries, retry_after};
use crate::secret::Secret;

/// The identity of an app registration.
#[derive(Debug, Clone)]
pub struct Auth {
    /// `https://login.microsoftonline.com`, or the one of another cloud.
    pub authority: Url,
    /// The directory: a GUID or a domain name.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// Its secret: the value, not the id.
    pub client_secret: Secret,
}

/// What a sign-in gives.
pub(crate) struct Granted {
    pub(crate) token: Secret,
    /// For how long, from when it was asked for.
    pub(crate) life: Duration,
}

impl Auth {
    /// Where tokens are asked for; refuses what cannot work before anything is sent.
    pub(crate) fn token_url(&self) -> Result<Url, Error> {
        require_secure("auth.authority", &self.authority)?;
        let usage = |what: &str| Error::Usage { what: what.to_owned() };
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !self.tenant_id.starts_with(|c: char| c.is_ascii_alphanumeric()) || !self.tenant_id.chars().all(name) {
            return Err(usage("`auth.tenant_id` must be the directory's id or domain name"));
        }
        if self.client_id.is_empty() {
            return Err(usage("`auth.client_id` is missing"));
        }
        if self.client_secret.is_empty() {
            return Err(usage("`auth.client_secret` is missing"));
        }
        let mut url = self.authority.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut()
            .map_err(|()| usage("`auth.authority` must begin with https://"))?
            .pop_if_empty()
            .extend([self.tenant_id.as_str(), "oauth2", "v2.0", "token"]);
        Ok(url)
    }
}

/// Asks for a token, at most `most` times.
pub(crate) async fn sign_in(
    http: &reqwest::Client,
    auth: &Auth,
    scope: &str,
    patience: &Patience,
    most: u32,
) -> Result<Granted, Error> {
    let url = auth.token_url()?;
    let mut heard = false;
    let mut tries = Tries::new();
    loop {
        tries.begin();
        let passing = match attempt(http, &url, auth, scope).await? {
            Ok(granted) => {
                debug!(url = %without_query(&url), tries = tries.count, "signed in");
                return Ok(granted);
            }
            Err(passing) => passing,
        };
        heard |= passing.status.is_some();
        let most = if passing.address && !heard { most.min(patience.tries_unheard) } else { most };
        let Some(wait) = tries.next(patience, most, passing.wait) else {
            let call = Call {
                method: "POST",
                url: without_query(&url),
                page: None,
                tries: tries.count,
                elapsed: tries.elapsed(),
                status: passing.status,
                request_id: passing.request_id,
            };
            return Err(Error::Unreachable { cause: passing.cause, call: Box::new(call) });
        };
        warn!(url = %without_query(&url), cause = passing.cause, status = passing.status, ?wait, "sign-in is tried again");
        tokio::time::sleep(wait).await;
    }
}

async fn attempt(
    http: &reqwest::Client,
    url: &Url,
    auth: &Auth,
    scope: &str,
) -> Result<Result<Granted, Passing>, Error> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &auth.client_id)
        .append_pair("client_secret", auth.client_secret.reveal())
        .append_pair("scope", scope)
        .finish();
    let request = http
        .post(url.clone())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Err(Passing::from(&error))),
    };
    let status = response.status();
    let wait = retry_after(response.headers());
    let body = body::refusal(response).await;
    if status.is_success() {
        return Ok(granted(&body).ok_or_else(|| Passing {
            cause: "the answer holds no token".to_owned(),
            status: Some(status.as_u16()),
            page: true,
            ..Passing::default()
        }));
    }
    if matches!(status.as_u16(), 408 | 429) || status.is_server_error() {
        let cause = "the identity service is not available".to_owned();
        return Ok(Err(Passing { cause, status: Some(status.as_u16()), wait, ..Passing::default() }));
    }
    Err(refused(status.as_u16(), &body))
}

fn granted(body: &[u8]) -> Option<Granted> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Secret,
        expires_in: serde_json::Value,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    // Version 1 endpoints send the seconds as text.
    let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok())?;
    // Longer than a day is no promise to rely on.
    let life = Duration::from_secs(seconds.min(86_400));
    (!answer.access_token.is_empty()).then_some(Granted { token: answer.access_token, life })
}

/// Takes the code out of a refusal; its text repeats ids and may repeat what was sent.
fn refused(status: u16, body: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Answer {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        let advice =
            "the authority does not answer like Microsoft Entra ID; check `auth.authority` and `auth.tenant_id`";
        return Error::SignInRefused { code: format!("status {status}"), advice };
    };
    let number = answer
        .error_description
        .split_once("AADSTS")
        .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).take(10).collect::<String>());
    let number = number.unwrap_or_default();
    // https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    let advice = match (number.as_str(), answer.error.as_str()) {
        ("7000215", _) => "the client secret is wrong; `auth.client_secret` must be the secret's value, not its id",
        ("7000222", _) => "the client secret has expired; make a new one in the app registration",
        ("700016", _) => "the tenant does not know the application; check `auth.client_id` and `auth.tenant_id`",
        ("90002" | "900023", _) => "there is no such tenant; check `auth.tenant_id` and `auth.authority`",
        ("500011" | "650057", _) => {
            "the tenant does not know the environment; check `dataverse.url` and `auth.tenant_id`"
        }
        ("7000112", _) => "the application is disabled; an administrator must enable it",
        ("53003" | "530031" | "530034", _) => "a conditional access policy blocks the application",
        (_, "invalid_client") => {
            "the client id or the secret is not accepted; check both, and whether the secret has expired"
        }
        (_, "unauthorized_client") => {
            "the application may not sign in with a secret; check `auth.client_id` and `auth.tenant_id`"
        }
        (_, "invalid_scope") => "the environment is not accepted as a scope; check `dataverse.url`",
        _ => "check `auth.tenant_id`, `auth.client_id` and `auth.client_secret`",
    };
    let code = if number.is_empty() {
        answer.error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect()
    } else {
        format!("AADSTS{number}")
    };
    Error::SignInRefused { code, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_code_and_nothing_of_its_text() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 'hunter2' provided. Trace ID: 1"}"#;
        let text = refused(401, body).to_string();
        assert!(text.starts_with("sign-in refused (AADSTS7000215): the client secret is wrong"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("Trace"));
        let text = refused(400, br#"{"error":"invalid_client"}"#).to_string();
        assert!(text.starts_with("sign-in refused (invalid_client): "), "{text}");
        let text = refused(404, b"<html>hunter2").to_string();
        assert!(text.starts_with("sign-in refused (status 404): the authority does not answer"), "{text}");
    }

    #[test]
    fn the_life_of_a_token_is_a_number_or_text() {
        let life = |body: &str| granted(body.as_bytes()).map(|granted| granted.life.as_secs());
        assert_eq!(life(r#"{"access_token":"t","expires_in":3599}"#), Some(3599));
        assert_eq!(life(r#"{"access_token":"t","expires_in":"3599"}"#), Some(3599));
        assert_eq!(life(r#"{"access_token":"","expires_in":3599}"#), None);
        assert_eq!(life(r#"{"expires_in":3599}"#), None);
    }

    #[test]
    fn the_token_url_is_the_tenants() {
        let mut auth = Auth {
            authority: Url::parse("https://login.example/base/?x=1").unwrap(),
            tenant_id: "contoso.onmicrosoft.com".into(),
            client_id: "c".into(),
            client_secret: Secret::new("s"),
        };
        let url = auth.token_url().unwrap();
        assert_eq!(url.as_str(), "https://login.example/base/contoso.onmicrosoft.com/oauth2/v2.0/token");
        for bad in ["", "..", "a/b", "a?b", " "] {
            auth.tenant_id = bad.to_owned();
            assert!(matches!(auth.token_url(), Err(Error::Usage { .. })), "{bad:?}");
        }
    }
}
