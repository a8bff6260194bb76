//! Token requests over HTTP, repeated until granted, refused, or given up on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use reqwest::Client;
use tracing::{debug, warn};

use super::application::EntraApplication;
use super::managed_identity::{self, ManagedIdentity};
use super::token_response::GrantedToken;
use crate::error::{Error, FailedCall};
use crate::http::attempt_error::Transient;
use crate::http::body;
use crate::http::origin::redacted;
use crate::http::proxy::NamedProxy;
use crate::http::retry::{Attempts, RetryPolicy, date, retry_after};
use crate::http::transfer_limit::TransferLimit;

/// Who issues tokens.
#[derive(Debug)]
pub(crate) enum TokenIssuer {
    /// Microsoft Entra ID, to an application.
    Entra(EntraApplication),
    /// The platform, to the machine.
    ManagedIdentity(ManagedIdentity),
}

/// A token issuer and the connections to it.
#[derive(Debug)]
pub(crate) struct TokenClient {
    http: Client,
    proxy: NamedProxy,
    issuer: TokenIssuer,
    /// The issuer has responded at least once, so its address is right.
    reached: AtomicBool,
}

impl TokenClient {
    pub(super) fn new(http: Client, proxy: NamedProxy, issuer: TokenIssuer) -> Self {
        Self { http, proxy, issuer, reached: AtomicBool::new(false) }
    }

    /// Requests a token, with at most `max_attempts` attempts.
    pub(super) async fn token(&self, retry_policy: &RetryPolicy, max_attempts: u32) -> Result<GrantedToken, Error> {
        let (method, url, retry_policy) = match &self.issuer {
            TokenIssuer::Entra(app) => ("POST", redacted(&app.url), *retry_policy),
            TokenIssuer::ManagedIdentity(machine) => {
                ("GET", redacted(&machine.url), managed_identity::retry_policy(retry_policy))
            }
        };
        let mut attempts = Attempts::new();
        loop {
            attempts.begin();
            let transient = match self.attempt(&retry_policy.transfer_limit).await? {
                Ok(granted) => {
                    debug!(url, attempts = attempts.count, "signed in");
                    return Ok(granted);
                }
                Err(transient) => transient,
            };
            if transient.status.is_some() {
                self.reached.store(true, Ordering::Relaxed);
            }
            let reached = self.reached.load(Ordering::Relaxed);
            let gives_up_early = transient.is_lasting(reached) || (transient.maybe_wrong_address && !reached);
            let max_attempts = max_attempts.min(transient.max_attempts(&retry_policy, false, gives_up_early));
            let max_outage = transient.max_outage(retry_policy.max_outage, reached);
            let wait = attempts
                .wait_before_next(&retry_policy, max_attempts, transient.retry_after)
                .or_else(|| attempts.wait_in_outage(&retry_policy, max_outage, transient.retry_after));
            let Some(wait) = wait else {
                let cause = match (&self.issuer, transient.cause) {
                    (TokenIssuer::ManagedIdentity(_), cause) if !reached => {
                        format!("no managed identity answers on this machine: {cause}")
                    }
                    (_, cause) => cause,
                };
                let call = Box::new(FailedCall {
                    method,
                    url,
                    page: None,
                    attempts: attempts.count,
                    elapsed: attempts.elapsed(),
                    status: transient.status,
                    retry_after: transient.retry_after,
                    request_id: transient.request_id,
                    is_outage: !retry_policy.max_outage.is_zero(),
                });
                if let Some(failure) = transient.proxy {
                    return Err(Error::Proxy { proxy: self.proxy.to_string(), failure, call });
                }
                return Err(match transient.status.filter(|_| !transient.incomplete_page) {
                    Some(status) => Error::RetriesExhausted { status, cause, call },
                    None => Error::Unreachable { cause, call },
                });
            };
            warn!(url, cause = transient.cause, status = transient.status, ?wait, "retrying sign-in");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, transfer_limit: &TransferLimit) -> Result<Result<GrantedToken, Transient>, Error> {
        let request = match &self.issuer {
            TokenIssuer::Entra(app) => app.request(&self.http)?,
            TokenIssuer::ManagedIdentity(machine) => machine.request(&self.http)?,
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(Transient::from(&error))),
        };
        let status = response.status();
        if let Err(transient) = Transient::refused_by_proxy(status) {
            return Ok(Err(transient));
        }
        let retry_after = retry_after(response.headers());
        let now = date(response.headers()).unwrap_or_else(SystemTime::now);
        let body = body::error_body(response, transfer_limit).await;
        let code = status.as_u16();
        if status.is_success() {
            return Ok(GrantedToken::read(&body, now).ok_or_else(|| Transient {
                cause: "the response holds no token".to_owned(),
                status: Some(code),
                incomplete_page: true,
                ..Transient::default()
            }));
        }
        let is_transient = matches!(&self.issuer, TokenIssuer::ManagedIdentity(machine) if machine.is_transient(code));
        if is_transient || matches!(code, 408 | 429) || status.is_server_error() {
            let cause = "the identity service is not available".to_owned();
            return Ok(Err(Transient { cause, status: Some(code), retry_after, ..Transient::default() }));
        }
        Err(match &self.issuer {
            TokenIssuer::Entra(app) => app.refused(code, &body),
            TokenIssuer::ManagedIdentity(_) => managed_identity::refused(code, &body),
        })
    }
}
