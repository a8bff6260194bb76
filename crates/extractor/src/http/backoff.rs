//! Back-off: how long to wait when the service does not say.

use std::time::Duration;

/// Jittered exponential back-off: `initial`, doubling up to `max`; the upper half of each wait is random.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    /// A number in `[0, 1)`; a function so that tests can fix it.
    pub(crate) jitter: fn() -> f64,
}

impl Backoff {
    /// The documented recommendation: 2^attempt seconds, at most a minute.
    pub(crate) const fn documented() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(60), jitter: rand::random::<f64> }
    }

    /// The wait after this many attempts, at least one.
    pub(crate) fn wait(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(0.5 + (self.jitter)() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(jitter: fn() -> f64) -> Vec<f64> {
        let backoff = Backoff { jitter, ..Backoff::documented() };
        (1..=9).map(|attempts| backoff.wait(attempts).as_secs_f64()).collect()
    }

    #[test]
    fn waits_double_to_a_minute_and_jitter_takes_at_most_half() {
        assert_eq!(curve(|| 1.0), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(curve(|| 0.0), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(curve(|| 0.5), [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0, 45.0]);
    }

    #[test]
    fn a_large_number_of_tries_does_not_overflow() {
        assert!(Backoff::documented().wait(u32::MAX) <= Duration::from_secs(60));
    }
}
