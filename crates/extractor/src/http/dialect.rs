//! Dialects: what differs between services.

use reqwest::header::HeaderMap;

use super::attempt_error::AttemptError;
use super::error_response::ErrorResponse;
use super::request::Request;

/// How to talk to a service, and what its error responses mean.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The headers of every request, except for the token.
    pub(crate) headers: fn(&Request) -> HeaderMap,
    /// Classifies an error response.
    pub(crate) classify: fn(ErrorResponse<'_>) -> AttemptError,
    /// The cheapest request there is, below the service's address: any answer to it shows that the service is there.
    pub(crate) probe: &'static str,
    /// Whether a link is followed by the identity that received it.
    pub(crate) binds_links: bool,
    /// Advice for a fresh access token that the service rejects.
    pub(crate) access_token_rejected_advice: &'static str,
}
