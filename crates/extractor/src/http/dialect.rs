//! Dialects: what a service has of its own, beside what all calls have in common.

use reqwest::header::HeaderMap;

use super::attempt_error::AttemptError;
use super::error_response::ErrorResponse;
use super::request::Request;

/// How to speak to a service, and how it says no.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The headers of every request beside the token.
    pub(crate) headers: fn(&Request) -> HeaderMap,
    /// What a refusal means.
    pub(crate) classify: fn(ErrorResponse<'_>) -> AttemptError,
    /// What to do when the service does not accept a fresh token.
    pub(crate) token_rejected_advice: &'static str,
}
