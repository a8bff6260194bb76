//! The HTTP client: one connection pool, and every call attempted until it is answered, refused, or given up on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use super::body_reader::{BodyReader, ReservationSize};
use super::call_cost::CallCost;
use super::cancellation::Cancellation;
use super::client_limits::ClientLimits;
use super::concurrency_limit::Permit;
use super::dialect::Dialect;
use super::error_response::{self, ErrorResponse};
use super::meter::Counters;
use super::network::Network;
use super::origin::redacted;
use super::outage::OutageVerdict;
use super::outage_watch::OutageWatch;
use super::proxy::NamedProxy;
use super::request::{FilePortion, Request, ResourceKind};
use super::retry::Attempts;
use super::service_clock::ServiceClock;
use super::throttle_gate::ThrottleGate;
use super::throttle_scope::{ThrottleScope, UnclearThrottling};
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
    proxy: NamedProxy,
    pub(crate) tokens: TokenCache,
    pub(crate) limits: ClientLimits,
    gate: ThrottleGate,
    unclear_throttling: UnclearThrottling,
    pub(crate) cancellation: Cancellation,
    pub(crate) bodies: BodyReader,
    pub(crate) clock: ServiceClock,
    pub(crate) counters: Counters,
    /// The service has responded at least once, so its address is right.
    reached: AtomicBool,
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
            // The environment is registered under the configured origin of the service.
            tokens: TokenCache::new(
                SignIn::new(auth, service.origin().ascii_serialization(), network)?,
                limits.retry_policy,
            ),
            http: network.client(service)?,
            proxy: network.named_proxy(),
            gate: ThrottleGate::default(),
            unclear_throttling: UnclearThrottling::default(),
            cancellation: Cancellation::default(),
            bodies: BodyReader::new(limits.budget),
            limits,
            clock: ServiceClock::default(),
            counters: Counters::default(),
            reached: AtomicBool::new(false),
            outage: OutageWatch::default(),
            probe: service
                .join(dialect.probe)
                .map_err(|error| Error::Usage { what: format!("the address cannot be used: {error}") })?,
        })
    }

    /// A token that is still fresh.
    pub(crate) async fn token(&self) -> Result<Arc<AccessToken>, Error> {
        tokio::select! {
            biased;
            () = self.cancellation.grace_period_over() => Err(Error::Stopped),
            token = self.tokens.get() => token,
        }
    }

    /// From now on, attempts go on for this long while the service, or the one that signs in to it, answers nothing.
    pub(crate) fn wait_out_outages(&self, longest: Duration) {
        self.outage.wait_out(longest);
        self.tokens.wait_out_outages(longest);
    }

    /// Attempts the request until `accept` takes a response, or the client is stopped. A response that `accept` rejects
    /// counts as truncated.
    pub(crate) async fn get<T>(
        &self,
        request: &Request,
        accept: impl Fn(ServiceResponse) -> Result<T, &'static str>,
    ) -> Result<(T, CallCost), Error> {
        tokio::select! {
            biased;
            () = self.cancellation.grace_period_over() => Err(Error::Stopped),
            result = self.get_uncancelled(request, accept) => result,
        }
    }

    async fn get_uncancelled<T>(
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
                            self.unclear_throttling.answered();
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
                AttemptError::OutOfMemory { length } => {
                    debug!(url = %redacted(&request.url), length, "the body outgrew its memory reservation");
                    attempts.retract();
                    reservation_size = ReservationSize::Doubled(length);
                }
                AttemptError::Transient(transient) => {
                    token_refused = false;
                    let since = failed_at.replace(Instant::now()).unwrap_or_else(|| attempts.begun());
                    cost.throttled += self.back_off(request, (&attempts, since), transient).await?;
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

    /// Waits until the next attempt, or gives up. `since`: when the attempt before the last one failed. Returns the time
    /// for which throttling of this resource alone held the request back.
    async fn back_off(
        &self,
        request: &Request,
        (attempts, since): (&Attempts, Instant),
        transient: Transient,
    ) -> Result<Duration, Error> {
        if self.cancellation.is_cancelled() {
            return Err(Error::Stopped);
        }
        let never_reached = transient.maybe_wrong_address && !self.reached.load(Ordering::Relaxed);
        let retry_policy = &self.limits.retry_policy;
        let gives_up_early = never_reached && !self.outage.is_waited_out();
        let is_file = request.kind == ResourceKind::File;
        let max_attempts = match request.has_failed_before && transient.throttled.is_none() && !gives_up_early {
            true => retry_policy.max_attempts_failed_before,
            false => transient.max_attempts(retry_policy, is_file, gives_up_early),
        };
        let wait = attempts.wait_before_next(retry_policy, max_attempts, transient.retry_after);
        // A wait that concerns the whole identity does so even if this request gives up.
        let requested = transient.retry_after.filter(|wait| !wait.is_zero()).or(wait);
        let waits_at_gate = transient.throttled == Some(ThrottleScope::Identity);
        if waits_at_gate {
            let pause = requested.unwrap_or_else(|| retry_policy.backoff.wait(attempts.count)).min(MAX_PAUSE);
            let prolonged = self.gate.close(pause);
            if pause > retry_policy.max_elapsed {
                warn!(seconds = pause.as_secs(), "the service asks for a long pause");
                let call = request.call(attempts, transient.status, transient.request_id);
                return Err(Error::paused(pause, call));
            }
            self.counters.add_throttled(prolonged);
        }
        let Some(wait) = wait else {
            // A throttled request is answered, and so is one that is refused without a reason.
            let is_answered = transient.throttled.is_some() || transient.refusal.is_some();
            let verdict = if is_answered {
                OutageVerdict::GiveUpRequest
            } else {
                let usual = retry_policy.backoff.wait(attempts.count);
                tokio::select! {
                    verdict = self.outage.judge(since, (transient.retry_after, usual), || self.probe()) => verdict,
                    _ = self.cancellation.cancelled() => return Err(Error::Stopped),
                }
            };
            if verdict == OutageVerdict::Retry {
                debug!(url = %redacted(&request.url), attempts = attempts.count, "waited for the service");
                return Ok(Duration::ZERO);
            }
            let mut call = request.call(attempts, transient.status, transient.request_id.clone());
            call.is_outage = verdict == OutageVerdict::GiveUpService;
            return Err(transient.into_error(&self.proxy, call));
        };
        let (url, cause, status) = (redacted(&request.url), transient.cause, transient.status);
        let (page, request_id, attempts) = (request.page, transient.request_id, attempts.count);
        if transient.throttled.is_some() || wait < LONG_WAIT {
            debug!(%url, page, cause, status, request_id, attempts, ?wait, "retrying");
        } else {
            warn!(%url, page, cause, status, request_id, attempts, ?wait, "retrying after a long wait");
        }
        if waits_at_gate {
            return Ok(Duration::ZERO);
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = self.cancellation.cancelled() => return Err(Error::Stopped),
        }
        Ok(if transient.throttled.is_some() { wait } else { Duration::ZERO })
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

    /// One attempt; holds its concurrency permit until the body is read, except while that waits for memory.
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
        Transient::refused_by_proxy(status)?;
        let is_part = matches!(request.portion, FilePortion::Range(_)) && status == StatusCode::PARTIAL_CONTENT;
        if status != StatusCode::OK && !is_part {
            self.reached.store(true, Ordering::Relaxed);
            let headers = std::mem::take(response.headers_mut());
            let body = body::error_body(response, &self.limits.retry_policy.transfer_limit).await;
            let mut error =
                (self.dialect.classify)(ErrorResponse::read(request, attempts, token, (status, &headers, &body)));
            match &mut error {
                AttemptError::Transient(transient) => {
                    if transient.throttled == Some(ThrottleScope::Unclear) {
                        transient.throttled = Some(self.unclear_throttling.refused(request.resource));
                    }
                    self.slow_down(request, transient, begun);
                }
                // A refusal is an answer too.
                _ => self.unclear_throttling.answered(),
            }
            return Err(error);
        }
        let headers = response.headers().clone();
        if matches!(request.portion, FilePortion::HeadersOnly) {
            return Ok(ServiceResponse { status, headers, body: Bytes::new() });
        }
        match self.bodies.read(&self.limits, request, (response, permit), reservation_size).await {
            Ok(body) => Ok(ServiceResponse { status, headers, body }),
            Err(BodyError::Transient(transient)) => Err(transient.into()),
            Err(BodyError::OutOfMemory { length }) => Err(AttemptError::OutOfMemory { length }),
            Err(too_large @ (BodyError::FileTooLarge(_) | BodyError::PageTooLarge)) => {
                let call = request.call(attempts, Some(status.as_u16()), error_response::request_id(&headers));
                Err(AttemptError::Permanent(match too_large {
                    BodyError::FileTooLarge(size) => Error::FileTooLarge { size, call },
                    _ => Error::BadPage { reason: body::PAGE_TOO_LARGE.to_owned(), call },
                }))
            }
        }
    }

    /// Waits while the service is throttling; gives up if that exceeds the retry policy, or if the client is stopped.
    async fn wait_for_gate(&self, request: &Request) -> Result<Duration, Error> {
        tokio::select! {
            biased;
            waited = self.gate.wait(self.limits.retry_policy.max_elapsed) => {
                waited.map_err(|remaining| Error::paused(remaining, request.call_after(0)))
            }
            _ = self.cancellation.cancelled() => Err(Error::Stopped),
        }
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
        let is_throttled = transient.throttled == Some(ThrottleScope::Identity);
        if let Some(rate_limiter) =
            self.limits.rate_limiter.as_ref().filter(|_| is_throttled && request.kind.is_rate_limited())
        {
            rate_limiter.throttled(begun, transient.retry_after.unwrap_or_default());
        }
    }
}
