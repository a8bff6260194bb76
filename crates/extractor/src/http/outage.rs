//! Outages: whether it is the service that fails, or one request. Pure; the time comes with every call.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of the service from the responses to all requests of an identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ServiceHealth {
    /// When a request was last answered, be it by a refusal.
    answered: Option<Instant>,
    /// The first failure since then.
    failing_since: Option<Instant>,
}

/// What to do with a request that has failed as often as its retry policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageVerdict {
    /// Give up the request: the service answers others, or an outage is not waited out.
    GiveUpRequest,
    /// Find out whether the service answers anything.
    Probe,
    /// Attempt it again: it is an outage that may still end.
    Retry,
    /// Give up the service: it has answered nothing for too long.
    GiveUpService,
}

impl ServiceHealth {
    /// Notes that a request was answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        *self = Self { answered: Some(now), failing_since: None };
    }

    /// Notes that a request was not answered, or that the answer was a failure of the service.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
    }

    /// Whether a request was answered after that time.
    pub(crate) fn is_answered_since(&self, time: Instant) -> bool {
        self.answered.is_some_and(|answered| answered > time)
    }

    /// What to do with a request whose attempts have failed since `since`, the last of them now, and whose next one would
    /// begin after `wait`. `probed`: the service was probed since the last attempt, and did not answer.
    pub(crate) fn judge(
        &self,
        since: Instant,
        (now, wait): (Instant, Duration),
        max_outage: Duration,
        probed: bool,
    ) -> OutageVerdict {
        if max_outage.is_zero() || self.is_answered_since(since) {
            return OutageVerdict::GiveUpRequest;
        }
        if !probed {
            return OutageVerdict::Probe;
        }
        let lasting = now.saturating_duration_since(self.failing_since.unwrap_or(since));
        if lasting.saturating_add(wait) <= max_outage { OutageVerdict::Retry } else { OutageVerdict::GiveUpService }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_cases() {
        use OutageVerdict::{GiveUpRequest, GiveUpService, Probe, Retry};
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let seconds = Duration::from_secs;
        // The answers and failures of all requests, the last attempt but one of the request, and when it is judged.
        let cases = [
            ("another was answered meanwhile", vec![(true, 20)], 10, 30, seconds(600), false, GiveUpRequest),
            ("another was answered before", vec![(true, 5), (false, 10)], 10, 30, seconds(600), false, Probe),
            ("nothing was ever answered", vec![(false, 10)], 10, 30, seconds(600), false, Probe),
            ("the probe is not answered either", vec![(false, 10)], 10, 30, seconds(600), true, Retry),
            ("the probe was answered", vec![(false, 10), (true, 29)], 10, 30, seconds(600), true, GiveUpRequest),
            ("the last moment", vec![(false, 10)], 10, 550, seconds(600), true, Retry),
            ("ten minutes", vec![(false, 10)], 10, 551, seconds(600), true, GiveUpService),
            ("it began before that attempt", vec![(false, 10)], 300, 551, seconds(600), true, GiveUpService),
            (
                "another one ended before",
                vec![(false, 10), (true, 299), (false, 300)],
                300,
                551,
                seconds(600),
                true,
                Retry,
            ),
            ("outages are not waited out", vec![(false, 10)], 10, 30, seconds(0), true, GiveUpRequest),
        ];
        for (name, responses, since, now, max_outage, probed, expected) in cases {
            let mut health = ServiceHealth::default();
            for (is_answer, second) in responses {
                if is_answer { health.answered(at(second)) } else { health.failed(at(second)) }
            }
            // The next attempt would begin a minute later.
            let verdict = health.judge(at(since), (at(now), seconds(60)), max_outage, probed);
            assert_eq!(verdict, expected, "{name}");
        }
    }
}
