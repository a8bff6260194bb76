//! The HTTP client: one connection pool, and every call attempted until it is answered, refused, or given up on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;

use super::attempt_error::{AttemptError, Transient};
use super::body::{self, BodyError};
use super::body_buffer::BodyBuffer;
use super::body_reader::{BodyReader, ReservationSize};
use super::call_cost::CallCost;
use super::cancellation::Cancellation;
use super::client_limits::ClientLimits;
use super::dialect::Dialect;
use super::error_response::{self, ErrorResponse};
use super::held_back::HeldBack;
use super::meter::Counters;
use super::network::Network;
use super::origin::redacted;
use super::outage::{OutageVerdict, OutageWait};
use super::outages::Outages;
use super::proxy::NamedProxy;
use super::request::{FilePortion, Request};
use super::resource_gates::ResourceGates;
use super::retry::{Attempts, retry_after};
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
    pub(super) dialect: &'static Dialect,
    http: reqwest::Client,
    proxy: NamedProxy,
    pub(crate) tokens: TokenCache,
    pub(crate) limits: ClientLimits,
    pub(super) gate: ThrottleGate,
    pub(crate) resource_gates: ResourceGates,
    unclear_throttling: UnclearThrottling,
    pub(crate) cancellation: Cancellation,
    pub(crate) bodies: BodyReader,
    pub(crate) clock: ServiceClock,
    pub(crate) counters: Counters,
    pub(crate) held_back: HeldBack,
    /// The service has responded at least once, so its address is right.
    reached: AtomicBool,
    outages: Outages,
}

/// Upper bound of a pause requested by the service.
const MAX_PAUSE: Duration = Duration::from_hours(24);

/// A successful response.
pub(crate) struct ServiceResponse {
    /// 200, or 206 for a part of a file.
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BodyBuffer,
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
            resource_gates: ResourceGates::default(),
            unclear_throttling: UnclearThrottling::default(),
            cancellation: Cancellation::default(),
            bodies: BodyReader::new(limits.budget),
            limits,
            clock: ServiceClock::default(),
            counters: Counters::default(),
            held_back: HeldBack::default(),
            reached: AtomicBool::new(false),
            outages: Outages::new(
                service
                    .join(dialect.probe)
                    .map_err(|error| Error::Usage { what: format!("the address cannot be used: {error}") })?,
            ),
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
        self.outages.wait_out(longest);
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
                            self.outages.answered(request);
                            self.limits.concurrency.succeeded();
                            self.unclear_throttling.answered();
                            return Ok((accepted, cost));
                        }
                        Err(reason) => Transient::bad_page(reason, StatusCode::OK.as_u16(), request_id).into(),
                    }
                }
                Err(error) => error,
            };
            self.outages.failed(request, &error);
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
        let accept = |response: ServiceResponse| json::from_slice(response.body.as_ref()).map_err(|_| unexpected);
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
        if transient.forbids_attempts() {
            let call = request.call(attempts, transient.status, transient.request_id.clone());
            return Err(transient.into_error(&self.proxy, call));
        }
        let reached = self.reached.load(Ordering::Relaxed);
        let retry_policy = &self.limits.retry_policy;
        let gives_up_early = transient.is_lasting(reached)
            || (transient.maybe_wrong_address && !reached && !self.outages.are_waited_out());
        let max_attempts = match request.has_failed_before && transient.throttled.is_none() && !gives_up_early {
            true => retry_policy.max_attempts_failed_before,
            false => transient.max_attempts(retry_policy, request.kind.is_of_files(), gives_up_early),
        };
        let wait = attempts.wait_before_next(retry_policy, max_attempts, transient.retry_after);
        // A wait that concerns the whole identity does so even if this request gives up.
        let requested = transient.retry_after.filter(|wait| !wait.is_zero()).or(wait);
        let pause = requested.unwrap_or_else(|| retry_policy.backoff.wait(attempts.count)).min(MAX_PAUSE);
        let is_long = pause > retry_policy.max_elapsed;
        // For an outage that long nobody waits: whether it is one is found out from what others are answered.
        let unavailable = transient.unavailable.filter(|_| !is_long);
        let waits_at_gate = transient.throttled.or(unavailable) == Some(ThrottleScope::Identity);
        if unavailable == Some(ThrottleScope::Resource) {
            self.resource_gates.close(request.resource, pause);
        }
        if waits_at_gate {
            let prolonged = self.gate.close(pause);
            if is_long {
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
                let wait = OutageWait::new(transient.retry_after, retry_policy.backoff.wait(attempts.count));
                let longest = |max_outage| transient.max_outage(max_outage, reached);
                tokio::select! {
                    verdict = self.outages.watch(request.kind).judge(since, wait, longest, || self.probe(request)) => verdict,
                    _ = self.cancellation.cancelled() => return Err(Error::Stopped),
                }
            };
            if let OutageVerdict::Retry(_) = verdict {
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
        let _waiting = transient.throttled.map(|_| self.held_back.enter());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = self.cancellation.cancelled() => return Err(Error::Stopped),
        }
        Ok(if transient.throttled.is_some() { wait } else { Duration::ZERO })
    }

    /// Whether the service answers a request that it has to. When it throttles, that is an answer.
    async fn probe(&self, probed_for: &Request) -> bool {
        let request = Request::json(self.outages.probe(probed_for));
        let _permit = self.limits.concurrency.acquire().await;
        if self.wait_for_gate(&request).await.is_err() {
            return true;
        }
        let Ok(token) = self.tokens.get().await else { return false };
        self.counters.count_request();
        let headers = (self.dialect.headers)(&request);
        let response = self.http.get(request.url).headers(headers).header(AUTHORIZATION, token.header.clone());
        let Ok(response) = response.send().await else { return false };
        let is_answer = !response.status().is_server_error() && response.status() != StatusCode::REQUEST_TIMEOUT;
        // Now two are refused: this is meant for everybody.
        let requested = retry_after(response.headers()).filter(|_| !response.status().is_success());
        if let Some(pause) = requested.filter(|pause| *pause <= self.limits.retry_policy.max_elapsed) {
            self.counters.add_throttled(self.gate.close(pause));
        }
        is_answer
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
        let http_request = match &request.body {
            Some(body) => self.http.post(request.url.clone()).body(body.clone()),
            None => self.http.get(request.url.clone()),
        };
        let http_request =
            http_request.headers((self.dialect.headers)(request)).header(AUTHORIZATION, token.header.clone());
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
                    for scope in [&mut transient.throttled, &mut transient.unavailable] {
                        if *scope == Some(ThrottleScope::Unclear) {
                            *scope = Some(self.unclear_throttling.refused(request.resource));
                        }
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
            return Ok(ServiceResponse { status, headers, body: BodyBuffer::new(None, 0) });
        }
        match self.bodies.read(&self.limits, request, (response, permit), reservation_size).await {
            Ok(body) => {
                cost.last_attempt = begun.elapsed();
                Ok(ServiceResponse { status, headers, body })
            }
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
}
