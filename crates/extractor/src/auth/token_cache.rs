//! The token cache: one token per identity, renewed early by one request at a time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sign_in::SignIn;
use super::token::AccessToken;
use crate::error::Error;
use crate::http::retry::RetryPolicy;

/// How long other callers get the error of a failed sign-in instead of another attempt.
const FAILURE_HOLDS: Duration = Duration::from_secs(10);

/// How long a still valid token is reused after a failed renewal.
const REUSE_STALE: Duration = Duration::from_secs(30);

/// The current token of an identity for one service.
#[derive(Debug)]
pub(crate) struct TokenCache {
    sign_in: SignIn,
    retry_policy: RetryPolicy,
    /// How long an outage is waited out, once that is said.
    max_outage: OnceLock<Duration>,
    current: Mutex<Option<Arc<AccessToken>>>,
    refresh: tokio::sync::Mutex<RefreshState>,
}

#[derive(Debug, Default)]
struct RefreshState {
    failed: Option<(Instant, Error)>,
    /// When the last token was due for renewal.
    promised: Option<Instant>,
    /// Consecutive tokens that the service rejected before that time.
    refused: u32,
}

impl TokenCache {
    pub(crate) fn new(sign_in: SignIn, retry_policy: RetryPolicy) -> Self {
        let (current, refresh) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { sign_in, retry_policy, max_outage: OnceLock::new(), current, refresh }
    }

    /// From now on, sign-ins are attempted for this long while there is no valid token.
    pub(crate) fn wait_out_outages(&self, longest: Duration) {
        let _ = self.max_outage.set(longest);
    }

    /// A token that is still fresh: the cached one, or a new one shared by all callers waiting for it.
    pub(crate) async fn get(&self) -> Result<Arc<AccessToken>, Error> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let mut refresh = self.refresh.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        if let Some((at, error)) = &refresh.failed
            && at.elapsed() < FAILURE_HOLDS
        {
            return Err(error.clone());
        }
        let stale = self.lock().clone().filter(|token| Instant::now() < token.expires);
        tokio::time::sleep(refresh.cool_down()).await;
        let (max_attempts, max_outage) = match stale {
            Some(_) => (1, Duration::ZERO),
            None => (self.retry_policy.max_attempts, *self.max_outage.get().unwrap_or(&self.retry_policy.max_outage)),
        };
        let requested_at = Instant::now();
        let retry_policy = RetryPolicy { max_outage, ..self.retry_policy };
        let granted = self.sign_in.token(&retry_policy, max_attempts).await;
        match (
            granted.and_then(|granted| AccessToken::new(granted.token.reveal(), requested_at, granted.lifetime)),
            stale,
        ) {
            (Ok(token), _) => {
                refresh.failed = None;
                refresh.promised = Some(token.fresh_until);
                Ok(self.store(token))
            }
            (Err(_), Some(stale)) => {
                // The old token is valid for some minutes more; the next renewal is due before it expires.
                let fresh_until = (Instant::now() + REUSE_STALE).min(stale.expires);
                Ok(self.store(AccessToken { fresh_until, ..AccessToken::clone(&stale) }))
            }
            (Err(error), None) => {
                refresh.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Drops this token, which the service rejects; a newer one stays.
    pub(crate) fn invalidate(&self, token: &AccessToken) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| current.header == token.header) {
            *current = None;
        }
    }

    /// The cached token, if it is fresh.
    pub(crate) fn fresh(&self) -> Option<Arc<AccessToken>> {
        self.lock().clone().filter(|token| Instant::now() < token.fresh_until)
    }

    fn store(&self, token: AccessToken) -> Arc<AccessToken> {
        let token = Arc::new(token);
        *self.lock() = Some(Arc::clone(&token));
        token
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<AccessToken>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefreshState {
    /// The delay before a sign-in: none, unless the service keeps rejecting fresh tokens.
    fn cool_down(&mut self) -> Duration {
        let early = self.promised.is_some_and(|promised| Instant::now() < promised);
        self.refused = if early { self.refused.saturating_add(1) } else { 0 };
        match self.refused {
            0 | 1 => Duration::ZERO,
            refused => Duration::from_millis(100 << (refused - 2).min(6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_refused_before_their_time_slow_the_next_sign_ins() {
        let mut refresh = RefreshState::default();
        assert_eq!(refresh.cool_down(), Duration::ZERO);
        refresh.promised = Some(Instant::now() + Duration::from_secs(3600));
        let waits: Vec<_> = (0..5).map(|_| refresh.cool_down().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800]);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(refresh.cool_down(), Duration::ZERO, "this one had its time");
    }
}
