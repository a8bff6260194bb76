//! Probes: whether the service answers a request that it has to.

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;

use super::client::Client;
use super::identity::Admission;
use super::request::Request;
use super::retry::retry_after;
use crate::error::Error;

impl Client {
    /// Whether the service answers the cheapest request there is, sent by whichever identity may send it soonest. When it
    /// throttles, that is an answer.
    pub(super) async fn probe(&self, probed_for: &Request) -> bool {
        let request = Request::json(self.outages.probe(probed_for));
        let (index, Admission { permit: _permit, token, .. }) = match self.admit(&request, &[]).await {
            Ok(admitted) => admitted,
            Err(error) => return matches!(error, Error::Paused { .. } | Error::Stopped),
        };
        let identity = self.identities.get(index);
        identity.counters.count_request();
        let headers = (self.dialect.headers)(&request);
        let response = self.http.get(request.url).headers(headers).header(AUTHORIZATION, token.header.clone());
        let Ok(response) = response.send().await else { return false };
        let is_answer = !response.status().is_server_error() && response.status() != StatusCode::REQUEST_TIMEOUT;
        // Now two are refused: this is meant for everybody.
        let requested = retry_after(response.headers()).filter(|_| !response.status().is_success());
        if let Some(pause) = requested.filter(|pause| *pause <= self.limits.retry_policy.max_elapsed) {
            let prolonged = match response.status() {
                StatusCode::TOO_MANY_REQUESTS => identity.gate.close(pause),
                _ => self.identities.close_all(pause),
            };
            identity.counters.add_throttled(prolonged);
        }
        is_answer
    }
}
