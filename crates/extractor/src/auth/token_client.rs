//! Exchanges: a token is asked for over HTTP until it is given, refused, or patience ends.

use std::time::SystemTime;

use reqwest::Client;
use tracing::{debug, warn};

use super::application::App;
use super::managed_identity::{self, Machine};
use super::token_response::Granted;
use crate::error::{Call, Error};
use crate::http::attempt_error::Transient;
use crate::http::body;
use crate::http::origin::redacted;
use crate::http::retry::{Attempts, RetryPolicy, date, retry_after};

/// Who gives tokens, and what it is asked.
#[derive(Debug)]
pub(crate) enum Giver {
    /// Microsoft Entra ID, by an application.
    Entra(App),
    /// The platform, by the machine.
    Machine(Machine),
}

/// A giver of tokens, and the connections to it.
#[derive(Debug)]
pub(crate) struct Exchange {
    http: Client,
    giver: Giver,
}

impl Exchange {
    pub(super) fn new(http: Client, giver: Giver) -> Self {
        Self { http, giver }
    }

    /// Asks at most `most` times.
    pub(super) async fn token(&self, retry_policy: &RetryPolicy, most: u32) -> Result<Granted, Error> {
        let (method, url, retry_policy) = match &self.giver {
            Giver::Entra(app) => ("POST", redacted(&app.url), *retry_policy),
            Giver::Machine(machine) => ("GET", redacted(&machine.url), managed_identity::retry_policy(retry_policy)),
        };
        let mut heard = false;
        let mut attempts = Attempts::new();
        loop {
            attempts.begin();
            let transient = match self.attempt().await? {
                Ok(granted) => {
                    debug!(url, attempts = attempts.count, "signed in");
                    return Ok(granted);
                }
                Err(transient) => transient,
            };
            heard |= transient.status.is_some();
            let most = if transient.maybe_wrong_address && !heard {
                most.min(retry_policy.max_attempts_unreached)
            } else {
                most
            };
            let Some(wait) = attempts.wait_before_next(&retry_policy, most, transient.retry_after) else {
                let cause = match (&self.giver, transient.cause) {
                    (Giver::Machine(_), cause) if !heard => {
                        format!("no managed identity answers on this machine: {cause}")
                    }
                    (_, cause) => cause,
                };
                let call = Call {
                    method,
                    url,
                    page: None,
                    attempts: attempts.count,
                    elapsed: attempts.elapsed(),
                    status: transient.status,
                    request_id: transient.request_id,
                };
                return Err(Error::Unreachable { cause, call: Box::new(call) });
            };
            warn!(url, cause = transient.cause, status = transient.status, ?wait, "sign-in is tried again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self) -> Result<Result<Granted, Transient>, Error> {
        let request = match &self.giver {
            Giver::Entra(app) => app.request(&self.http)?,
            Giver::Machine(machine) => machine.request(&self.http)?,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(Transient::from(&error))),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let now = date(response.headers()).unwrap_or_else(SystemTime::now);
        let body = body::error_body(response).await;
        let code = status.as_u16();
        if status.is_success() {
            return Ok(Granted::read(&body, now).ok_or_else(|| Transient {
                cause: "the answer holds no token".to_owned(),
                status: Some(code),
                incomplete_page: true,
                ..Transient::default()
            }));
        }
        let is_transient = matches!(&self.giver, Giver::Machine(machine) if machine.is_transient(code));
        if is_transient || matches!(code, 408 | 429) || status.is_server_error() {
            let cause = "the identity service is not available".to_owned();
            return Ok(Err(Transient { cause, status: Some(code), retry_after, ..Transient::default() }));
        }
        Err(match &self.giver {
            Giver::Entra(app) => app.refused(code, &body),
            Giver::Machine(_) => managed_identity::refused(code, &body),
        })
    }
}
