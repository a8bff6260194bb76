//! Access tokens.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::claims::TokenClaims;
use crate::error::Error;

/// A token is renewed this long before it expires, or after nine tenths of its lifetime if that is shorter.
const REFRESH_EARLY: Duration = Duration::from_secs(5 * 60);

/// A token, ready to be sent.
#[derive(Clone)]
pub(crate) struct AccessToken {
    /// `Bearer ...`, marked as sensitive.
    pub(crate) header: HeaderValue,
    pub(super) fresh_until: Instant,
    pub(super) expires: Instant,
}

impl AccessToken {
    /// A token whose lifetime began when it was requested.
    pub(super) fn new(text: &str, requested_at: Instant, lifetime: Duration) -> Result<Self, Error> {
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| Error::SignInRefused {
            code: "invalid token".to_owned(),
            advice: "the token cannot be sent; check `auth.method` and `auth.authority`",
        })?;
        header.set_sensitive(true);
        // However short-lived, a token serves the request it was obtained for.
        let fresh = lifetime.saturating_sub(REFRESH_EARLY.min(lifetime / 10)).max(Duration::from_secs(1));
        Ok(Self { header, fresh_until: requested_at + fresh, expires: requested_at + lifetime })
    }

    /// The claims of the token.
    pub(crate) fn claims(&self) -> TokenClaims {
        TokenClaims::read(self.text())
    }

    /// The token as it was issued.
    pub(super) fn text(&self) -> &str {
        self.header.to_str().ok().and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_replaced_five_minutes_or_a_tenth_of_its_life_early() {
        let now = Instant::now();
        for (lifetime, fresh) in [(3600, 3300), (600, 540), (10, 9), (0, 1)] {
            let token = AccessToken::new("t", now, Duration::from_secs(lifetime)).unwrap();
            assert_eq!(token.fresh_until - now, Duration::from_secs(fresh), "life {lifetime}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = AccessToken::new("hunter2", Instant::now(), Duration::from_secs(60)).unwrap();
        assert!(!format!("{token:?} {:?}", token.header).contains("hunter2"));
    }
}
