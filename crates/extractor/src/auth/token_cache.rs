//! Tokens: one per identity, refreshed early, by one request at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sign_in::SignIn;
use super::token::AccessToken;
use crate::error::Error;
use crate::http::retry::RetryPolicy;

/// How long the answer of a failed sign-in holds for everyone who waited for it.
const FAILURE_HOLDS: Duration = Duration::from_secs(10);

/// How long an old token is used on when a new one could not be had.
const REUSE_STALE: Duration = Duration::from_secs(30);

/// The token of an identity for one service.
#[derive(Debug)]
pub(crate) struct TokenCache {
    sign_in: SignIn,
    retry_policy: RetryPolicy,
    current: Mutex<Option<Arc<AccessToken>>>,
    refresh: tokio::sync::Mutex<RefreshState>,
}

#[derive(Debug, Default)]
struct RefreshState {
    failed: Option<(Instant, Error)>,
    /// Until when the last token should have been good.
    promised: Option<Instant>,
    /// Tokens in a row that the service refused before that.
    refused: u32,
}

impl TokenCache {
    pub(crate) fn new(sign_in: SignIn, retry_policy: RetryPolicy) -> Self {
        Self { sign_in, retry_policy, current: Mutex::default(), refresh: tokio::sync::Mutex::default() }
    }

    /// A token that is good for a while: the kept one, or a new one that all who ask meanwhile share.
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
        let max_attempts = if stale.is_some() { 1 } else { self.retry_policy.max_attempts };
        let requested_at = Instant::now();
        let granted = self.sign_in.token(&self.retry_policy, max_attempts).await;
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
                // The old one lives on for some minutes; the next try is due before it ends.
                let fresh_until = (Instant::now() + REUSE_STALE).min(stale.expires);
                Ok(self.store(AccessToken { fresh_until, ..AccessToken::clone(&stale) }))
            }
            (Err(error), None) => {
                refresh.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Forgets this token, which the service does not accept; a newer one stays.
    pub(crate) fn invalidate(&self, token: &AccessToken) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| current.header == token.header) {
            *current = None;
        }
    }

    fn fresh(&self) -> Option<Arc<AccessToken>> {
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
    /// How long to wait first: nothing, unless the service keeps refusing tokens that should be good.
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
