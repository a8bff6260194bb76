//! The HTTP client: one connection pool, and every call attempted until it is answered, refused, or given up on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::debug;
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
use super::failed_attempt::FailedAttempt;
use super::held_back::HeldBack;
use super::identities::{self, Identities, Refusals};
use super::identity::{Admission, ServiceIdentity};
use super::network::Network;
use super::origin::redacted;
use super::outages::Outages;
use super::proxy::NamedProxy;
use super::request::{FilePortion, IdentityChoice, Request};
use super::resource_gates::ResourceGates;
use super::retry::Attempts;
use super::service_clock::ServiceClock;
use super::throttle_scope::ThrottleScope;
use crate::auth::sign_in::{NamedAuth, SignIn};
use crate::auth::token::AccessToken;
use crate::error::Error;
use crate::json;

/// How many times as many attempts as usual are no reason to give up, if others took what was permitted.
const MAX_OUTPACED: u32 = 3;

/// One service and the identities that share its requests: everything that these have in common.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) dialect: &'static Dialect,
    pub(super) http: reqwest::Client,
    pub(super) proxy: NamedProxy,
    pub(crate) identities: Identities,
    pub(crate) limits: ClientLimits,
    pub(crate) resource_gates: ResourceGates,
    pub(crate) cancellation: Cancellation,
    pub(crate) bodies: BodyReader,
    pub(crate) clock: ServiceClock,
    pub(crate) held_back: HeldBack,
    /// The service has responded at least once, so its address is right.
    pub(super) reached: AtomicBool,
    pub(super) outages: Outages,
    /// How many requests were answered as requested.
    answered: AtomicU64,
}

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
        identities: Vec<NamedAuth>,
        network: &Network,
        limits: ClientLimits,
    ) -> Result<Self, Error> {
        let identity = |NamedAuth { name, auth }| {
            // The environment is registered under the configured origin of the service.
            let sign_in = SignIn::new(auth, service.origin().ascii_serialization(), network)?;
            Ok(ServiceIdentity::new(name, sign_in, &limits))
        };
        Ok(Self {
            dialect,
            identities: Identities::new(
                identities.into_iter().map(identity).collect::<Result<_, Error>>()?,
                limits.retry_policy.max_elapsed,
            ),
            http: network.client(service)?,
            proxy: network.named_proxy(),
            resource_gates: ResourceGates::default(),
            cancellation: Cancellation::default(),
            bodies: BodyReader::new(limits.budget),
            limits,
            clock: ServiceClock::default(),
            held_back: HeldBack::default(),
            reached: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            outages: Outages::new(
                service
                    .join(dialect.probe)
                    .map_err(|error| Error::Usage { what: format!("the address cannot be used: {error}") })?,
            ),
        })
    }

    /// A token of this identity that is still fresh.
    pub(crate) async fn token_of(&self, identity: usize) -> Result<Arc<AccessToken>, Error> {
        tokio::select! {
            biased;
            () = self.cancellation.grace_period_over() => Err(Error::Stopped),
            token = self.identities.get(identity).tokens.get() => token,
        }
    }

    /// From now on, attempts go on for this long while the service, or the one that signs in to it, answers nothing.
    pub(crate) fn wait_out_outages(&self, longest: Duration) {
        self.outages.wait_out(longest);
        self.identities.iter().for_each(|identity| identity.tokens.wait_out_outages(longest));
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
        // Of the identity whose token was refused.
        let mut token_refused = None;
        let mut refusals = Vec::new();
        let mut reservation_size = ReservationSize::Expected;
        let mut failed_at = None;
        let (mut answered_before, mut outpaced) = (self.answered.load(Ordering::Relaxed), 0_u32);
        loop {
            let error = match self
                .attempt((request, &refusals, token_refused), reservation_size, &mut attempts, &mut cost)
                .await
            {
                Ok(response) => {
                    let request_id = error_response::request_id(&response.headers);
                    match accept(response) {
                        Ok(accepted) => {
                            // From now on a failure is the service's own, not a wrong address.
                            self.reached.store(true, Ordering::Relaxed);
                            self.outages.answered(request);
                            let identity = self.identities.get(cost.identity);
                            self.answered.fetch_add(1, Ordering::Relaxed);
                            identity.concurrency.succeeded();
                            identity.unclear_throttling.answered();
                            self.identities.answered(cost.identity, refusals);
                            return Ok((accepted, cost));
                        }
                        Err(reason) => Transient::bad_page(reason, StatusCode::OK.as_u16(), request_id).into(),
                    }
                }
                Err(error) => error,
            };
            self.outages.failed(request, &error);
            match error {
                AttemptError::Permanent(error) if error.may_concern_identity() => {
                    self.note_refusal(request, &mut refusals, (cost.identity, error))?;
                }
                AttemptError::Permanent(error) | AttemptError::Unsent(error) => return Err(error),
                AttemptError::AccessTokenRejected(token) if token_refused != Some(cost.identity) => {
                    debug!(url = %redacted(&request.url), "the access token is no longer accepted");
                    self.identities.get(cost.identity).tokens.invalidate(&token);
                    token_refused = Some(cost.identity);
                }
                AttemptError::AccessTokenRejected(_) => {
                    let advice = self.dialect.access_token_rejected_advice;
                    let error = Error::SignInRefused { code: "status 401".to_owned(), advice };
                    self.note_refusal(request, &mut refusals, (cost.identity, error))?;
                    token_refused = None;
                }
                AttemptError::OutOfMemory { length } => {
                    debug!(url = %redacted(&request.url), length, "the body outgrew its memory reservation");
                    attempts.retract();
                    reservation_size = ReservationSize::Doubled(length);
                }
                AttemptError::Transient(transient) => {
                    token_refused = None;
                    let since = failed_at.replace(Instant::now()).unwrap_or_else(|| attempts.begun());
                    // What the service permits, others took: that is no reason to give up.
                    let answered = self.answered.load(Ordering::Relaxed);
                    let is_of_identity =
                        transient.throttled == Some(ThrottleScope::Identity) && transient.retry_after.is_some();
                    outpaced += u32::from(is_of_identity && answered > answered_before);
                    outpaced = outpaced.min(MAX_OUTPACED * self.limits.retry_policy.max_attempts);
                    answered_before = answered;
                    let failed = FailedAttempt {
                        request,
                        refusals: &refusals,
                        identity: cost.identity,
                        attempts: &attempts,
                        outpaced,
                        since,
                    };
                    let waited = self.back_off(&failed, transient).await;
                    cost.throttled += waited.map_err(|error| identities::conclusion(&refusals, error))?;
                }
            }
        }
    }

    /// Takes in that an identity was refused a request: what another is given shows whether that was for the identity.
    /// Fails with the refusal if there is no other.
    fn note_refusal(
        &self,
        request: &Request,
        refusals: &mut Vec<(usize, Error)>,
        (index, error): (usize, Error),
    ) -> Result<(), Error> {
        debug!(url = %redacted(&request.url), %error, "an identity is refused it");
        refusals.push((index, error.clone()));
        match self.identities.candidates(request, refusals).is_empty() {
            true => Err(identities::conclusion(refusals, error)),
            false => Ok(()),
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

    /// One attempt; holds its concurrency permit until the body is read, except while that waits for memory.
    async fn attempt(
        &self,
        (request, refusals, token_refused): (&Request, &Refusals, Option<usize>),
        reservation_size: ReservationSize,
        attempts: &mut Attempts,
        cost: &mut CallCost,
    ) -> Result<ServiceResponse, AttemptError> {
        // Whether a token was refused for good is found out at once.
        let is_only = matches!(request.identity, IdentityChoice::Only(_));
        let retried = token_refused.filter(|_| !is_only);
        let retried = retried.map(|index| Request { identity: IdentityChoice::Preferred(index), ..request.clone() });
        let admitted = self.admit(retried.as_ref().unwrap_or(request), refusals).await;
        let (index, Admission { permit, token, throttled }) = admitted.map_err(AttemptError::Unsent)?;
        let identity = self.identities.get(index);
        attempts.begin();
        (cost.identity, cost.requests, cost.throttled) = (index, cost.requests + 1, cost.throttled + throttled);
        identity.counters.count_request();
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
            identity.concurrency.follow_hint(hint);
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
                            *scope = Some(identity.unclear_throttling.refused(request.resource));
                        }
                    }
                    if transient.throttled == Some(ThrottleScope::Identity) {
                        transient.throttled = Some(identity.lone_throttling.refused(request.resource, begun));
                    }
                    identity.slow_down(request, transient, begun);
                }
                // A refusal is an answer too.
                _ => {
                    identity.unclear_throttling.answered();
                    identity.lone_throttling.answered(request.resource, begun);
                }
            }
            return Err(error);
        }
        identity.lone_throttling.answered(request.resource, begun);
        let headers = response.headers().clone();
        if matches!(request.portion, FilePortion::HeadersOnly) {
            return Ok(ServiceResponse { status, headers, body: BodyBuffer::new(None, 0) });
        }
        let limits = (&identity.concurrency, &self.limits.retry_policy.transfer_limit);
        match self.bodies.read(limits, request, (response, permit), reservation_size).await {
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
