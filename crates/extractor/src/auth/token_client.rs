//! Exchanges: a token is asked for over HTTP until it is given, refused, or patience ends.

use std::time::SystemTime;

use reqwest::Client;
use tracing::{debug, warn};

use super::application::App;
use super::managed_identity::{self, Machine};
use super::token_response::Granted;
use crate::error::{Call, Error};
use crate::http::attempt_error::Passing;
use crate::http::body;
use crate::http::origin::shown;
use crate::http::retry::{Patience, Tries, date, retry_after};

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
    pub(super) async fn token(&self, patience: &Patience, most: u32) -> Result<Granted, Error> {
        let (method, url, patience) = match &self.giver {
            Giver::Entra(app) => ("POST", shown(&app.url), *patience),
            Giver::Machine(machine) => ("GET", shown(&machine.url), managed_identity::patience(patience)),
        };
        let mut heard = false;
        let mut tries = Tries::new();
        loop {
            tries.begin();
            let passing = match self.attempt().await? {
                Ok(granted) => {
                    debug!(url, tries = tries.count, "signed in");
                    return Ok(granted);
                }
                Err(passing) => passing,
            };
            heard |= passing.status.is_some();
            let most = if passing.address && !heard { most.min(patience.tries_unheard) } else { most };
            let Some(wait) = tries.next(&patience, most, passing.wait) else {
                let cause = match (&self.giver, passing.cause) {
                    (Giver::Machine(_), cause) if !heard => {
                        format!("no managed identity answers on this machine: {cause}")
                    }
                    (_, cause) => cause,
                };
                let call = Call {
                    method,
                    url,
                    page: None,
                    tries: tries.count,
                    elapsed: tries.elapsed(),
                    status: passing.status,
                    request_id: passing.request_id,
                };
                return Err(Error::Unreachable { cause, call: Box::new(call) });
            };
            warn!(url, cause = passing.cause, status = passing.status, ?wait, "sign-in is tried again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self) -> Result<Result<Granted, Passing>, Error> {
        let request = match &self.giver {
            Giver::Entra(app) => app.request(&self.http)?,
            Giver::Machine(machine) => machine.request(&self.http)?,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(Passing::from(&error))),
        };
        let status = response.status();
        let wait = retry_after(response.headers());
        let now = date(response.headers()).unwrap_or_else(SystemTime::now);
        let body = body::refusal(response).await;
        let code = status.as_u16();
        if status.is_success() {
            return Ok(Granted::read(&body, now).ok_or_else(|| Passing {
                cause: "the answer holds no token".to_owned(),
                status: Some(code),
                page: true,
                ..Passing::default()
            }));
        }
        let passes = matches!(&self.giver, Giver::Machine(machine) if machine.passes(code));
        if passes || matches!(code, 408 | 429) || status.is_server_error() {
            let cause = "the identity service is not available".to_owned();
            return Ok(Err(Passing { cause, status: Some(code), wait, ..Passing::default() }));
        }
        Err(match &self.giver {
            Giver::Entra(app) => app.refused(code, &body),
            Giver::Machine(_) => managed_identity::refused(code, &body),
        })
    }
}
