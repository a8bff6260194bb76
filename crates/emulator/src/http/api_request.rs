//! A request to an API, and the checks that come first: token, limits, faults.

use hyper::Method;

use crate::emulated_clock::Clock;
use crate::http::faults::TriggeredFaults;
use crate::http::preferences::Preferences;
use crate::http::recorder::Recorder;
use crate::http::response::{HttpResponse, ServiceError};
use crate::http::token_issuer::TokenService;
use crate::scenario::fault_spec::FaultKind;

/// What the APIs share while the emulator runs.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) tokens: TokenService,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    /// Where it listens: `http://127.0.0.1:<port>`.
    pub(crate) own_origin: String,
}

/// A request, without its route.
pub(crate) struct ApiRequest<'a> {
    pub(crate) shared: &'a SharedState,
    pub(crate) method: &'a Method,
    /// `http://host:port`, as the client wrote it.
    pub(crate) origin: String,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) application: Option<usize>,
    /// How many requests of the application are in flight, this one included.
    pub(crate) in_flight: u64,
    pub(crate) client_request_id: Option<&'a str>,
    pub(crate) range: Option<&'a str>,
    pub(crate) preferences: Preferences,
    pub(crate) faults: TriggeredFaults<'a>,
}

impl ApiRequest<'_> {
    /// Refuses a request without a valid token, one that `limit` refuses, and one with a fault that is an error, worded
    /// by `error_of_fault`. Returns a proxy's page where a fault sends that instead of a response.
    pub(crate) fn admit(
        &self,
        limit: impl FnOnce() -> Result<(), ServiceError>,
        error_of_fault: impl Fn(FaultKind) -> Option<ServiceError>,
    ) -> Result<Option<HttpResponse>, ServiceError> {
        let tokens = &self.shared.tokens;
        if self.faults.has(FaultKind::ExpiredToken) {
            tokens.expire(self.authorization);
        }
        if !tokens.accept(self.authorization, &[&self.origin, &self.shared.own_origin]) {
            return Err(error_of_fault(FaultKind::Unauthorized).unwrap_or_else(|| ServiceError::new(401, "", "")));
        }
        limit()?;
        match self.faults.error(error_of_fault) {
            Some(error) => Err(error),
            None => Ok(self.faults.not_json()),
        }
    }
}
