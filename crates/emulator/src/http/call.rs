//! One request to an API, and what every request to either API has to pass first: token, limits, faults.

use hyper::Method;

use crate::clock::Clock;
use crate::http::faults::Due;
use crate::http::preferences::Preferences;
use crate::http::recorder::Recorder;
use crate::http::response::{Answer, Refusal};
use crate::http::token_issuer::Tokens;
use crate::scenario::fault::FaultKind;

/// What the APIs share while the emulator runs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tokens: Tokens,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    /// Where it listens: `http://127.0.0.1:<port>`.
    pub(crate) own_origin: String,
}

/// A request, without its route.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
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
    pub(crate) faults: Due<'a>,
}

impl Call<'_> {
    /// Refuses a request without a good token, one that `limit` refuses, and one whose fault is a refusal, which
    /// `refusal_of` words. Returns the page of a proxy when that is what a fault sends instead of an answer.
    pub(crate) fn admit(
        &self,
        limit: impl FnOnce() -> Result<(), Refusal>,
        refusal_of: impl Fn(FaultKind) -> Option<Refusal>,
    ) -> Result<Option<Answer>, Refusal> {
        let tokens = &self.shared.tokens;
        if self.faults.has(FaultKind::ExpiredToken) {
            tokens.expire(self.authorization);
        }
        if !tokens.accept(self.authorization, &[&self.origin, &self.shared.own_origin]) {
            return Err(refusal_of(FaultKind::Unauthorized).unwrap_or_else(|| Refusal::new(401, "", "")));
        }
        limit()?;
        match self.faults.refusal(refusal_of) {
            Some(refusal) => Err(refusal),
            None => Ok(self.faults.not_json()),
        }
    }
}
