//! The HTTP client: one connection pool, and every call attempted until it is answered, refused, or given up on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;

use super::attempt_error::{AttemptError, Transient};
use super::body::{self, BodyError, BodySize};
use super::body_budget::BodyBudget;
use super::body_buffer::BodyBuffer;
use super::call_cost::CallCost;
use super::client_limits::ClientLimits;
use super::concurrency_limit::Permit;
use super::dialect::Dialect;
use super::error_response::{self, ErrorResponse};
use super::meter::Counters;
use super::network::Network;
use super::origin::redacted;
use super::outage::OutageVerdict;
use super::outage_watch::OutageWatch;
use super::request::{FilePortion, Request, ResourceKind};
use super::retry::Attempts;
use super::service_clock::ServiceClock;
use super::throttle_gate::ThrottleGate;
use crate::auth::sign_in::{Auth, SignIn};
use crate::auth::token::AccessToken;
use crate::auth::token_cache::TokenCache;
use crate::error::Error;
use crate::json;

/// Waits before the next attempt that are shorter than this are logged at debug level only.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// One identity at one service: everything that its requests share.
#[derive(Debug)]
pub(crate) struct Client {
    dialect: &'static Dialect,
    http: reqwest::Client,
    pub(crate) tokens: TokenCache,
    limits: ClientLimits,
    gate: ThrottleGate,
    pub(crate) budget: BodyBudget,
    pub(crate) clock: ServiceClock,
    pub(crate) counters: Counters,
    /// The service has responded at least once, so its address is right.
    reached: AtomicBool,
    /// A decaying maximum of recent page sizes: the first guess for the next page.
    page_bytes: AtomicUsize,
    outage: OutageWatch,
    /// The cheapest request there is.
    probe: Url,
}

/// Upper bound of a pause requested by the service.
const MAX_PAUSE: Duration = Duration::from_hours(24);

/// A successful response.
pub(crate) struct ServiceResponse {
    /// 200, or 206 for a part of a file.
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The memory of a bounded body is reserved until the last clone of this is dropped.
    pub(crate) body: Bytes,
}

/// How much memory is reserved before the first byte of a body.
#[derive(Debug, Clone, Copy)]
enum ReservationSize {
    /// What the body is expected to need.
    Expected,
    /// The most that it can need, or all of the budget.
    Maximum,
}

impl Client {
    /// A client for the service at this URL, which has passed [`require_secure`](super::origin::require_secure).
    pub(crate) fn new(
        dialect: &'static Dialect,
        service: &Url,
        auth: Auth,
        network: &Network,
        limits: ClientLimits,
    ) -> Result<Self, Error> {
        Ok(Self {
            dialect,
            tokens: TokenCache::new(SignIn::new(auth, service, network)?, limits.retry_policy),
            http: network.client(service)?,
            gate: ThrottleGate::default(),
            budget: BodyBudget::new(limits.budget),
            limits,
            clock: ServiceClock::default(),
            counters: Counters::default(),
            reached: AtomicBool::new(false),
            page_bytes: AtomicUsize::new(0),
            outage: OutageWatch::default(),
            probe: service
                .join(dialect.probe)
                .map_err(|error| Error::Usage { what: format!("the address cannot be used: {error}") })?,
        })
    }

    /// From now on, attempts go on for this long while the service, or the one that signs in to it, answers nothing.
    pub(crate) fn wait_out_outages(&self, longest: Duration) {
        self.outage.wait_out(longest);
        self.tokens.wait_out_outages(longest);
    }

    /// Attempts the request until `accept` takes a response. One that it rejects counts as truncated.
    pub(crate) async fn get<T>(
        &self,
        request: &Request,
        accept: impl Fn(ServiceResponse) -> Result<T, &'static str>,
    ) -> Result<(T, CallCost), Error> {
        let mut attempts = Attempts::new();
        let mut cost = CallCost::default();
        let mut token_refused = false;
        let mut reservation_size = ReservationSize::Expected;
        let mut failed_at = None;
        loop {
            let error = match self.attempt(request, reservation_size, &mut attempts, &mut cost).await {
                Ok(response) => {
                    let request_id = error_response::request_id(&response.headers);
                    match accept(response) {
                        Ok(accepted) => {
                            // From now on a failure is the service's own, not a wrong address.
                            self.reached.store(true, Ordering::Relaxed);
                            self.outage.answered();
                            self.limits.concurrency.succeeded();
                            return Ok((accepted, cost));
                        }
                        Err(reason) => Transient::bad_page(reason, StatusCode::OK.as_u16(), request_id).into(),
                    }
                }
                Err(error) => error,
            };
            self.outage.failed(&error);
            match error {
                AttemptError::Permanent(error) => return Err(error),
                AttemptError::AccessTokenRejected(token) if !token_refused => {
                    debug!(url = %redacted(&request.url), "the access token is no longer accepted");
                    self.tokens.invalidate(&token);
                    token_refused = true;
                }
                AttemptError::AccessTokenRejected(_) => {
                    let advice = self.dialect.access_token_rejected_advice;
                    return Err(Error::SignInRefused { code: "status 401".to_owned(), advice });
                }
                AttemptError::OutOfMemory => {
                    debug!(url = %redacted(&request.url), "the body outgrew its memory reservation");
                    attempts.retract();
                    reservation_size = ReservationSize::Maximum;
                }
                AttemptError::Transient(transient) => {
                    token_refused = false;
                    let since = failed_at.replace(Instant::now()).unwrap_or_else(|| attempts.begun());
                    self.back_off(request, (&attempts, since), transient).await?;
                }
            }
        }
    }

    /// Requests one JSON object; `unexpected` describes a response of any other shape.
    pub(crate) async fn fetch_json<T: DeserializeOwned>(
        &self,
        request: &Request,
        unexpected: &'static str,
    ) -> Result<T, Error> {
        let accept = |response: ServiceResponse| json::from_slice(&response.body).map_err(|_| unexpected);
        self.get(request, accept).await.map(|(value, _)| value)
    }

    /// Waits until the next attempt, or gives up. `since`: when the attempt before the last one failed.
    async fn back_off(
        &self,
        request: &Request,
        (attempts, since): (&Attempts, Instant),
        transient: Transient,
    ) -> Result<(), Error> {
        let never_reached = transient.maybe_wrong_address && !self.reached.load(Ordering::Relaxed);
        let retry_policy = &self.limits.retry_policy;
        let max_attempts = match request.kind {
            _ if never_reached && !self.outage.is_waited_out() => retry_policy.max_attempts_unreached,
            _ if request.has_failed_before && !transient.throttled => retry_policy.max_attempts_failed_before,
            ResourceKind::File => retry_policy.max_attempts_request_specific,
            _ if transient.request_specific => retry_policy.max_attempts_request_specific,
            _ => retry_policy.max_attempts,
        };
        let wait = attempts.wait_before_next(retry_policy, max_attempts, transient.retry_after);
        // A wait requested of one request applies to the whole identity, even if this request gives up.
        let requested = transient.retry_after.filter(|wait| !wait.is_zero()).or(wait);
        if transient.throttled {
            let pause = requested.unwrap_or_else(|| retry_policy.backoff.wait(attempts.count)).min(MAX_PAUSE);
            let prolonged = self.gate.close(pause);
            if pause > retry_policy.max_elapsed {
                warn!(seconds = pause.as_secs(), "the service asks for a long pause");
                return Err(Error::Paused {
                    remaining: pause,
                    call: request.call(attempts, transient.status, transient.request_id),
                });
            }
            self.counters.add_throttled(prolonged);
        }
        let Some(wait) = wait else {
            let verdict = if transient.throttled {
                OutageVerdict::GiveUpRequest
            } else {
                let usual = retry_policy.backoff.wait(attempts.count);
                self.outage.judge(since, (transient.retry_after, usual), || self.probe()).await
            };
            if verdict == OutageVerdict::Retry {
                debug!(url = %redacted(&request.url), attempts = attempts.count, "waited for the service");
                return Ok(());
            }
            let mut call = request.call(attempts, transient.status, transient.request_id);
            call.retry_after = transient.retry_after;
            call.is_outage = verdict == OutageVerdict::GiveUpService;
            let cause = transient.cause;
            return Err(match transient.status {
                _ if transient.incomplete_page => Error::BadPage { reason: cause, call },
                Some(status) => Error::RetriesExhausted { status, cause, call },
                None => Error::Unreachable { cause, call },
            });
        };
        let (url, cause, status) = (redacted(&request.url), transient.cause, transient.status);
        let (page, request_id, attempts) = (request.page, transient.request_id, attempts.count);
        if transient.throttled || wait < LONG_WAIT {
            debug!(%url, page, cause, status, request_id, attempts, ?wait, "retrying");
        } else {
            warn!(%url, page, cause, status, request_id, attempts, ?wait, "retrying after a long wait");
        }
        // A throttled request waits at the gate, together with all others.
        if !transient.throttled {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Whether the service answers its cheapest request. When it throttles, that is an answer.
    async fn probe(&self) -> bool {
        let request = Request::json(self.probe.clone());
        let _permit = self.limits.concurrency.acquire().await;
        if self.wait_for_gate(&request).await.is_err() {
            return true;
        }
        let Ok(token) = self.tokens.get().await else { return false };
        self.counters.count_request();
        let headers = (self.dialect.headers)(&request);
        let response = self.http.get(request.url).headers(headers).header(AUTHORIZATION, token.header.clone());
        let is_answer = |status: StatusCode| !status.is_server_error() && status != StatusCode::REQUEST_TIMEOUT;
        response.send().await.is_ok_and(|response| is_answer(response.status()))
    }

    /// One attempt; holds its concurrency permit until the body is read, unless the body has to wait for memory.
    async fn attempt(
        &self,
        request: &Request,
        reservation_size: ReservationSize,
        attempts: &mut Attempts,
        cost: &mut CallCost,
    ) -> Result<ServiceResponse, AttemptError> {
        let (permit, token) = self.admit(request, cost).await.map_err(AttemptError::Permanent)?;
        attempts.begin();
        cost.requests += 1;
        self.counters.count_request();
        let begun = Instant::now();
        let http_request = self
            .http
            .get(request.url.clone())
            .headers((self.dialect.headers)(request))
            .header(AUTHORIZATION, token.header.clone());
        let mut response = http_request.send().await.map_err(|error| Transient::from(&error))?;
        self.clock.observe(response.headers());
        if let Some(hint) = response.headers().get("x-ms-dop-hint").and_then(|hint| hint.to_str().ok()?.parse().ok()) {
            self.limits.concurrency.follow_hint(hint);
        }
        let status = response.status();
        let is_part = matches!(request.portion, FilePortion::Range(_)) && status == StatusCode::PARTIAL_CONTENT;
        if status != StatusCode::OK && !is_part {
            self.reached.store(true, Ordering::Relaxed);
            let headers = std::mem::take(response.headers_mut());
            let body = body::error_body(response).await;
            let error =
                (self.dialect.classify)(ErrorResponse::read(request, attempts, token, (status, &headers, &body)));
            if let AttemptError::Transient(transient) = &error {
                self.slow_down(request, transient, begun);
            }
            return Err(error);
        }
        let headers = response.headers().clone();
        if matches!(request.portion, FilePortion::HeadersOnly) {
            return Ok(ServiceResponse { status, headers, body: Bytes::new() });
        }
        match self.read_body(request, response, reservation_size, permit).await {
            Ok(body) => Ok(ServiceResponse { status, headers, body }),
            Err(BodyError::Transient(transient)) => Err(transient.into()),
            Err(BodyError::OutOfMemory) => Err(AttemptError::OutOfMemory),
            Err(BodyError::FileTooLarge(size)) => {
                let call = request.call(attempts, Some(status.as_u16()), error_response::request_id(&headers));
                Err(AttemptError::Permanent(Error::FileTooLarge { size, call }))
            }
        }
    }

    async fn read_body(
        &self,
        request: &Request,
        response: Response,
        reservation_size: ReservationSize,
        permit: Permit<'_>,
    ) -> Result<Bytes, BodyError> {
        let typical_page = self.page_bytes.load(Ordering::Relaxed);
        let size = match (request.kind, &request.portion) {
            // At the start, a service that ignores ranges may send the whole file.
            (ResourceKind::File, FilePortion::Range(range))
                if response.status() == StatusCode::PARTIAL_CONTENT || range.start > 0 =>
            {
                BodySize::of_part(range.end - range.start)
            }
            (ResourceKind::File, FilePortion::Whole { limit }) => BodySize::of_file(&response, *limit)?,
            (ResourceKind::File, _) => BodySize::of_file(&response, body::MAX_FILE)?,
            _ => BodySize::of_page(&response, typical_page),
        };
        let is_reserved = matches!(request.portion, FilePortion::Range(_));
        let (reservation, _permit) = if is_reserved || !request.kind.is_bounded() {
            (None, Some(permit))
        } else {
            let bytes = match reservation_size {
                ReservationSize::Expected => size.expected,
                ReservationSize::Maximum => size.limit as usize,
            };
            match self.budget.try_reserve(bytes) {
                Some(reservation) => (Some(reservation), Some(permit)),
                None => {
                    // Requests that hold memory may be waiting for this permit.
                    drop(permit);
                    (Some(self.budget.reserve(bytes).await), None)
                }
            }
        };
        let body = body::read(response, size, BodyBuffer::new(reservation, size.expected)).await?;
        if request.kind != ResourceKind::File {
            self.page_bytes.store(body.len().max(typical_page - typical_page / 8), Ordering::Relaxed);
        }
        Ok(body)
    }

    /// Waits while the service is throttling; gives up if that exceeds the retry policy.
    async fn wait_for_gate(&self, request: &Request) -> Result<Duration, Error> {
        self.gate
            .wait(self.limits.retry_policy.max_elapsed)
            .await
            .map_err(|remaining| Error::Paused { remaining, call: request.call_after(0) })
    }

    /// Admits a request: concurrency permit, throttle gate, token, and for rate-limited kinds the rate limiter. The
    /// latter comes last, so that the rate is that of the requests actually sent.
    async fn admit(&self, request: &Request, cost: &mut CallCost) -> Result<(Permit<'_>, Arc<AccessToken>), Error> {
        let permit = self.limits.concurrency.acquire().await;
        cost.throttled += self.wait_for_gate(request).await?;
        let Some(rate_limiter) = self.limits.rate_limiter.as_ref().filter(|_| request.kind.is_rate_limited()) else {
            return Ok((permit, self.tokens.get().await?));
        };
        let paused = self.gate.paused();
        let mut slot = rate_limiter.next_slot().await;
        let token = loop {
            if !self.wait_for_gate(request).await?.is_zero() {
                slot.forgo_backlog();
            }
            let token = self.tokens.get().await?;
            slot.wait().await;
            // Another response may have closed the gate in the meantime.
            if self.gate.is_open() {
                break token;
            }
        };
        slot.consume();
        cost.throttled += self.gate.paused() - paused;
        Ok((permit, token))
    }

    /// Reduces concurrency or rate if the service says that a request begun at `begun` was too much.
    fn slow_down(&self, request: &Request, transient: &Transient, begun: Instant) {
        if transient.too_many_in_flight {
            self.limits.concurrency.refused(begun);
        }
        if let Some(rate_limiter) =
            self.limits.rate_limiter.as_ref().filter(|_| transient.throttled && request.kind.is_rate_limited())
        {
            rate_limiter.throttled(begun, transient.retry_after.unwrap_or_default());
        }
    }
}
