//! Responses inside the response to a batch that are no success.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::attempt_error::AttemptError;
use super::client::Client;
use super::error_response::ErrorResponse;
use super::request::Request;
use super::retry::Attempts;
use crate::error::Error;

impl Client {
    /// The error that a response inside a batch means for the request that it answers; `None` if another attempt may
    /// succeed. Where it asks for a wait, all requests of the identity that sent the batch wait.
    pub(crate) async fn refusal_in_batch(
        &self,
        (identity, request): (usize, &Request),
        (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    ) -> Result<Option<Error>, Error> {
        let token = match self.token_of(identity).await {
            Ok(token) => token,
            Err(Error::Stopped) => return Err(Error::Stopped),
            // Its sign-in has failed since: others may still send the request.
            Err(_) => return Ok(None),
        };
        let identity = self.identities.get(identity);
        let mut attempts = Attempts::new();
        attempts.begin();
        match (self.dialect.classify)(ErrorResponse::read(request, &attempts, token, (status, headers, body))) {
            AttemptError::Permanent(error) | AttemptError::Unsent(error) => Ok(Some(error)),
            AttemptError::Transient(transient) => {
                let wait = transient.retry_after.filter(|_| transient.throttled.is_some());
                if let Some(pause) = wait.filter(|pause| *pause <= self.limits.retry_policy.max_elapsed) {
                    identity.counters.add_throttled(identity.gate.close(pause));
                }
                Ok(None)
            }
            AttemptError::AccessTokenRejected(_) | AttemptError::OutOfMemory { .. } => Ok(None),
        }
    }
}
