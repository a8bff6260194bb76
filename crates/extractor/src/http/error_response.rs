//! Error responses, before a service's own meaning is read into them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::attempt_error::{AttemptError, Transient};
use super::request::Request;
use super::retry::{Attempts, retry_after};
use super::throttle_scope::ThrottleScope;
use crate::auth::token::AccessToken;
use crate::error::{Error, FailedCall};
use crate::json;

/// Headers in which services send their request id.
const REQUEST_IDS: [&str; 3] = ["x-ms-service-request-id", "req_id", "request-id"];

/// A response that is not a success.
pub(crate) struct ErrorResponse<'a> {
    pub(crate) request: &'a Request,
    attempts: &'a Attempts,
    pub(crate) token: Arc<AccessToken>,
    pub(crate) status: StatusCode,
    retry_after: Option<Duration>,
    /// `x-ms-throttle-scope`, which begins with whom a 429 concerns; empty if there is none.
    pub(crate) throttle_scope: String,
    pub(crate) body: ErrorBody,
}

/// The body of an error response; empty if it has another format.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    /// To be inspected and never shown: it may quote user content.
    pub(crate) message: String,
    request_id: Option<String>,
}

impl<'a> ErrorResponse<'a> {
    pub(crate) fn read(
        request: &'a Request,
        attempts: &'a Attempts,
        token: Arc<AccessToken>,
        (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    ) -> Self {
        let mut body = ErrorBody::read(body);
        body.request_id = request_id(headers).or(body.request_id);
        let throttle_scope = headers.get("x-ms-throttle-scope").and_then(|scope| scope.to_str().ok());
        let throttle_scope = throttle_scope.unwrap_or_default().to_owned();
        Self { request, attempts, token, status, retry_after: retry_after(headers), throttle_scope, body }
    }

    fn is(&self, status: StatusCode) -> bool {
        self.status == status
    }

    /// The call that was refused.
    pub(crate) fn call(&self) -> Box<FailedCall> {
        self.request.call(self.attempts, Some(self.status.as_u16()), self.body.request_id.clone())
    }

    /// Whether the status alone marks a transient error.
    pub(crate) fn is_transient(&self) -> bool {
        self.is(StatusCode::TOO_MANY_REQUESTS)
            || self.is(StatusCode::REQUEST_TIMEOUT)
            || (self.status.is_server_error() && !self.is(StatusCode::NOT_IMPLEMENTED))
    }

    /// Whether a 400 says nothing at all, as gateways in front of the service send it now and then.
    pub(crate) fn is_empty_refusal(&self) -> bool {
        self.is(StatusCode::BAD_REQUEST) && self.body.says_nothing()
    }

    /// A refusal that says nothing: worth another attempt, and this error if it stays.
    pub(crate) fn unexplained(&self, refusal: Error) -> AttemptError {
        let cause = "refused without a reason".to_owned();
        let (status, request_id) = (Some(self.status.as_u16()), self.body.request_id.clone());
        let refusal = Some(Box::new(refusal));
        AttemptError::Transient(Transient { cause, status, request_id, refusal, ..Transient::default() })
    }

    /// A transient error with the service's code. A 429 concerns the identity, unless the service's dialect knows better.
    pub(crate) fn transient(&self, code: &str) -> Transient {
        let throttled = self.is(StatusCode::TOO_MANY_REQUESTS);
        let unavailable = self.status.is_server_error() && self.retry_after.is_some_and(|wait| !wait.is_zero());
        let cause = match (throttled, code) {
            (true, code) => format!("throttled {code}").trim_end().to_owned(),
            (false, "") => "the service is not available".to_owned(),
            (false, code) => code.to_owned(),
        };
        Transient {
            cause,
            status: Some(self.status.as_u16()),
            request_id: self.body.request_id.clone(),
            retry_after: self.retry_after,
            throttled: throttled.then_some(ThrottleScope::Identity),
            unavailable: unavailable.then_some(ThrottleScope::Unclear),
            ..Transient::default()
        }
    }

    /// The service rejects the access token.
    pub(crate) fn access_token_rejected(self) -> AttemptError {
        AttemptError::AccessTokenRejected(self.token)
    }
}

impl ErrorBody {
    /// Whether there is neither a message nor a code that says anything.
    fn says_nothing(&self) -> bool {
        matches!(self.code.as_str(), "" | "UnknownError") && self.message.trim().is_empty()
    }

    /// Parses `{"error":{"code":"...","message":"...","innerError":{"code":"...","request-id":"..."}}}`, with the inner
    /// object in either spelling. The inner code counts if the outer one says nothing.
    fn read(body: &[u8]) -> Self {
        let Ok(body) = json::from_slice::<Value>(body) else { return Self::default() };
        let error = &body["error"];
        let inner = if error["innerError"].is_object() { &error["innerError"] } else { &error["innererror"] };
        let text = |value: &Value| value.as_str().map(|text| sanitized(text, 64)).filter(|text| !text.is_empty());
        let code = text(&error["code"]).filter(|code| code != "UnknownError");
        Self {
            code: code.or_else(|| text(&inner["code"])).or_else(|| text(&error["code"])).unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            request_id: text(&inner["request-id"]),
        }
    }
}

/// The service's id of a request, for the vendor's support.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = REQUEST_IDS.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    Some(sanitized(text, 64)).filter(|id| !id.is_empty())
}

/// Keeps only characters of names, codes and ids: foreign text must not forge a log line.
pub(crate) fn sanitized(text: &str, max_length: usize) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(max_length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_code_and_message_in_every_spelling() {
        let body = |body: &str| ErrorBody::read(body.as_bytes());
        let plain = body(r#"{"error":{"code":"TooManyRequests","message":"m"}}"#);
        assert_eq!((plain.code.as_str(), plain.message.as_str(), plain.request_id), ("TooManyRequests", "m", None));
        for name in ["innerError", "innererror"] {
            for outer in ["", "UnknownError"] {
                let inner = r#"{"code":"429","request-id":"r-1","date":"2026-01-01T00:00:00"}"#;
                let body = body(&format!(r#"{{"error":{{"code":"{outer}","message":"","{name}":{inner}}}}}"#));
                assert_eq!((body.code.as_str(), body.request_id.as_deref()), ("429", Some("r-1")));
            }
        }
        assert_eq!(body(r#"{"error":{"code":"UnknownError","innerError":{}}}"#).code, "UnknownError");
        assert_eq!(body("\u{feff}{\"error\":{\"code\":\"c\"}}").code, "c");
        assert_eq!(body("{\"error\":{\"code\":\"a\\nb <c>\",\"message\":null}}").code, "abc");
        assert_eq!(body(&format!(r#"{{"error":{{"code":"{}"}}}}"#, "x".repeat(99))).code.len(), 64);
        // Deeper than a parser goes, which says nothing.
        for deep in ["[".repeat(64 << 10), format!(r#"{{"error":{{"code":"c","x":{}"#, r#"{"a":"#.repeat(10_000))] {
            assert_eq!(body(&deep), ErrorBody::default());
        }
        for odd in ["<html>", "[]", "{}", r#"{"error":"invalid"}"#, r#"{"error":{"code":7}}"#, ""] {
            assert_eq!(body(odd), ErrorBody::default(), "{odd}");
        }
    }
}
