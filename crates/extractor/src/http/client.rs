//! The client: one pool of connections, and every call tried until it is answered, refused, or patience ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;

use super::attempt_error::{AttemptError, Transient};
use super::body::{self, BodyError};
use super::body_budget::{Budget, Reservation};
use super::concurrency_limit::{Permit, Permits};
use super::dialect::Dialect;
use super::error_response::{self, Refusal};
use super::meter::Counts;
use super::network::Network;
use super::origin::shown;
use super::rate_limiter::Pacer;
use super::request::{FilePortion, Request, RequestKind};
use super::retry::{Attempts, RetryPolicy};
use super::service_clock::ServiceClock;
use super::throttle_gate::Gate;
use crate::auth::sign_in::{Auth, SignIn};
use crate::auth::token::Token;
use crate::auth::token_cache::TokenCache;
use crate::error::Error;
use crate::json;

/// A shorter wait before the next try is nothing to bother the user with.
const TOLD: Duration = Duration::from_secs(10);

/// One identity at one service: everything that its requests share.
#[derive(Debug)]
pub(crate) struct Client {
    dialect: &'static Dialect,
    http: reqwest::Client,
    pub(crate) tokens: TokenCache,
    limits: Limits,
    gate: Gate,
    pub(crate) budget: Budget,
    pub(crate) clock: ServiceClock,
    pub(crate) counts: Counts,
    /// The service was heard at least once, so its address is right.
    heard: AtomicBool,
    /// About the largest of the last pages: the first guess for the next.
    page_bytes: AtomicUsize,
}

/// How hard the service may be asked.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) permits: Permits,
    /// For the calls that have a pace.
    pub(crate) pacer: Option<Pacer>,
    /// Bytes of bounded answers in memory.
    pub(crate) budget: usize,
}

/// No service asks for a longer pause.
const LONGEST: Duration = Duration::from_hours(24);

/// A successful answer.
pub(crate) struct Answer {
    /// 200, or 206 for a part of a file.
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The room that its bytes take, where they are bounded.
    pub(crate) room: Option<Reservation>,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) requests: u32,
    pub(crate) throttled: Duration,
}

impl Client {
    /// A client for the service at this URL, which has been found secure.
    pub(crate) fn new(
        dialect: &'static Dialect,
        service: &Url,
        auth: Auth,
        network: &Network,
        limits: Limits,
    ) -> Result<Self, Error> {
        Ok(Self {
            dialect,
            tokens: TokenCache::new(SignIn::new(auth, service, network)?, limits.retry_policy),
            http: network.client(service)?,
            gate: Gate::default(),
            budget: Budget::new(limits.budget),
            limits,
            clock: ServiceClock::default(),
            counts: Counts::default(),
            heard: AtomicBool::new(false),
            page_bytes: AtomicUsize::new(0),
        })
    }

    /// Asks until `accept` takes an answer. What it does not take counts as an answer that was cut.
    pub(crate) async fn get<T>(
        &self,
        request: &Request,
        accept: impl Fn(Answer) -> Result<T, &'static str>,
    ) -> Result<(T, Cost), Error> {
        let mut attempts = Attempts::new();
        let mut cost = Cost::default();
        let mut token_refused = false;
        loop {
            let fault = match self.attempt(request, &mut attempts, &mut cost).await {
                Ok(answer) => {
                    let request_id = error_response::request_id(&answer.headers);
                    match accept(answer) {
                        Ok(accepted) => {
                            // From now on a failure is the service's own, not a wrong address.
                            self.heard.store(true, Ordering::Relaxed);
                            self.limits.permits.succeeded();
                            return Ok((accepted, cost));
                        }
                        Err(reason) => Transient::bad_page(reason, StatusCode::OK.as_u16(), request_id).into(),
                    }
                }
                Err(fault) => fault,
            };
            match fault {
                AttemptError::Permanent(error) => return Err(error),
                AttemptError::TokenRejected(token) if !token_refused => {
                    debug!(url = %shown(&request.url), "the token is not accepted any more");
                    self.tokens.invalidate(&token);
                    token_refused = true;
                }
                AttemptError::TokenRejected(_) => {
                    let advice = self.dialect.unaccepted;
                    return Err(Error::SignInRefused { code: "status 401".to_owned(), advice });
                }
                AttemptError::Transient(transient) => {
                    token_refused = false;
                    self.rest(request, &attempts, transient).await?;
                }
            }
        }
    }

    /// Asks for one JSON object; `otherwise` says what an answer of another form is.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        otherwise: &'static str,
    ) -> Result<T, Error> {
        let accept = |answer: Answer| json::from_slice(&answer.body).map_err(|_| otherwise);
        self.get(request, accept).await.map(|(value, _)| value)
    }

    /// Waits until the next try, or gives up.
    async fn rest(&self, request: &Request, attempts: &Attempts, transient: Transient) -> Result<(), Error> {
        let unheard = transient.maybe_wrong_address && !self.heard.load(Ordering::Relaxed);
        let retry_policy = &self.limits.retry_policy;
        let most = match request.kind {
            _ if unheard => retry_policy.max_attempts_unreached,
            RequestKind::File => retry_policy.max_attempts_single,
            _ if transient.request_specific => retry_policy.max_attempts_single,
            _ => retry_policy.max_attempts,
        };
        let next = attempts.wait_before_next(retry_policy, most, transient.retry_after);
        // What the service asks of one request it asks of the whole identity, even if this one gives up.
        let asked = transient.retry_after.filter(|wait| !wait.is_zero()).or(next);
        if transient.throttled {
            let pause = asked.unwrap_or_else(|| retry_policy.backoff.wait(attempts.count)).min(LONGEST);
            let prolonged = self.gate.close(pause);
            if pause > retry_policy.max_elapsed {
                warn!(seconds = pause.as_secs(), "the service wants no requests for a long time");
                return Err(Error::Paused {
                    left: pause,
                    call: request.call(attempts, transient.status, transient.request_id),
                });
            }
            self.counts.throttled(prolonged);
        }
        let Some(wait) = next else {
            let call = request.call(attempts, transient.status, transient.request_id);
            return Err(if transient.incomplete_page {
                Error::BadPage { reason: transient.cause, call }
            } else {
                Error::Unreachable { cause: transient.cause, call }
            });
        };
        let (url, cause, status) = (shown(&request.url), transient.cause, transient.status);
        let (page, request_id, attempts) = (request.page, transient.request_id, attempts.count);
        if transient.throttled || wait < TOLD {
            debug!(%url, page, cause, status, request_id, attempts, ?wait, "asked again");
        } else {
            warn!(%url, page, cause, status, request_id, attempts, ?wait, "asked again after a long wait");
        }
        // The gate holds a throttled request back together with all others.
        if !transient.throttled {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// One try, with leave to be under way until its body is read.
    async fn attempt(
        &self,
        request: &Request,
        attempts: &mut Attempts,
        cost: &mut Cost,
    ) -> Result<Answer, AttemptError> {
        let (_permit, token) = self.leave(request, cost).await.map_err(AttemptError::Permanent)?;
        attempts.begin();
        cost.requests += 1;
        self.counts.request();
        let begun = Instant::now();
        let http_request = self
            .http
            .get(request.url.clone())
            .headers((self.dialect.headers)(request))
            .header(AUTHORIZATION, token.header.clone());
        let mut response = http_request.send().await.map_err(|error| Transient::from(&error))?;
        self.clock.note(response.headers());
        if let Some(hint) = response.headers().get("x-ms-dop-hint").and_then(|hint| hint.to_str().ok()?.parse().ok()) {
            self.limits.permits.hint(hint);
        }
        let status = response.status();
        let is_part = matches!(request.portion, FilePortion::Part(_)) && status == StatusCode::PARTIAL_CONTENT;
        if status != StatusCode::OK && !is_part {
            self.heard.store(true, Ordering::Relaxed);
            let headers = std::mem::take(response.headers_mut());
            let body = body::refusal(response).await;
            let fault = (self.dialect.fault)(Refusal::read(request, attempts, token, (status, &headers, &body)));
            if let AttemptError::Transient(transient) = &fault {
                self.yield_to(request, transient, begun);
            }
            return Err(fault);
        }
        let headers = response.headers().clone();
        let budget = Some(&self.budget).filter(|_| request.kind.is_bounded());
        match (request.kind, budget) {
            (RequestKind::File, budget) => {
                let read = match &request.portion {
                    FilePortion::Part(range) if is_part => {
                        let body = body::part(response, range.end - range.start).await;
                        body.map(|body| (body, None)).map_err(BodyError::Transient)
                    }
                    // Whoever asks for parts has taken room for all of them.
                    FilePortion::Part(_) => body::file(response, None, body::LARGEST_FILE).await,
                    FilePortion::Whole { most } => body::file(response, budget, *most).await,
                };
                match read {
                    Ok((body, room)) => Ok(Answer { status, headers, body, room }),
                    Err(BodyError::Transient(transient)) => Err(transient.into()),
                    Err(BodyError::TooLarge(size)) => {
                        let call = request.call(attempts, Some(status.as_u16()), error_response::request_id(&headers));
                        Err(AttemptError::Permanent(Error::FileTooLarge { size, call }))
                    }
                }
            }
            (_, budget) => {
                let usual = self.page_bytes.load(Ordering::Relaxed);
                let (body, room) = body::page(response, usual, budget).await?;
                self.page_bytes.store(body.len().max(usual - usual / 8), Ordering::Relaxed);
                Ok(Answer { status, headers, body, room })
            }
        }
    }

    /// Waits while the service wants no requests; gives up when that takes longer than a call is worth.
    async fn pass(&self, request: &Request) -> Result<Duration, Error> {
        self.gate
            .pass(self.limits.retry_policy.max_elapsed)
            .await
            .map_err(|left| Error::Paused { left, call: request.call_after(0) })
    }

    /// Leave to be under way, when it is this request's turn. What has a pace takes its turn last of all, so that the pace
    /// is that of the requests that leave.
    async fn leave(&self, request: &Request, cost: &mut Cost) -> Result<(Permit<'_>, Arc<Token>), Error> {
        let permit = self.limits.permits.acquire().await;
        cost.throttled += self.pass(request).await?;
        let Some(pacer) = self.limits.pacer.as_ref().filter(|_| request.kind.is_paced()) else {
            return Ok((permit, self.tokens.get().await?));
        };
        let paused = self.gate.paused();
        let mut turn = pacer.queue().await;
        let token = loop {
            if !self.pass(request).await?.is_zero() {
                turn.restart();
            }
            let token = self.tokens.get().await?;
            turn.come().await;
            // Someone's answer may have closed it meanwhile.
            if self.gate.is_open() {
                break token;
            }
        };
        turn.take();
        cost.throttled += self.gate.paused() - paused;
        Ok((permit, token))
    }

    /// Asks for less where the service says that a request, begun then, was too much.
    fn yield_to(&self, request: &Request, transient: &Transient, begun: Instant) {
        if transient.too_many_in_flight {
            self.limits.permits.refused(begun);
        }
        if let Some(pacer) = self.limits.pacer.as_ref().filter(|_| transient.throttled && request.kind.is_paced()) {
            pacer.throttled(begun, transient.retry_after.unwrap_or_default());
        }
    }
}
