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

/// How long a request waits in an outage before its next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OutageWait {
    /// As long as the service asks for, and no less.
    Requested(Duration),
    /// The usual time, or what is left of an outage's.
    Usual(Duration),
}

impl OutageWait {
    /// What the service asks for, if it does, else the usual time.
    pub(crate) fn new(requested: Option<Duration>, usual: Duration) -> Self {
        requested.filter(|wait| !wait.is_zero()).map_or(Self::Usual(usual), Self::Requested)
    }
}

/// What to do with a request that has failed as often as its retry policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutageVerdict {
    /// Give up the request: the service answers others, or an outage is not waited out.
    GiveUpRequest,
    /// Find out whether the service answers anything.
    Probe,
    /// Attempt it again after this time: it is an outage that may still end.
    Retry(Duration),
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

    /// What to do with a request whose attempts have failed since `since`, the last of them now. `max_outage`: how long
    /// such a failure is waited out; `None`: outages are not. `probed`: the service was probed since the last attempt,
    /// and did not answer.
    pub(crate) fn judge(
        &self,
        since: Instant,
        (now, wait): (Instant, OutageWait),
        max_outage: Option<Duration>,
        probed: bool,
    ) -> OutageVerdict {
        let Some(max_outage) = max_outage.filter(|_| !self.is_answered_since(since)) else {
            return OutageVerdict::GiveUpRequest;
        };
        if !probed {
            return OutageVerdict::Probe;
        }
        let lasting = now.saturating_duration_since(self.failing_since.unwrap_or(since));
        let remaining = max_outage.saturating_sub(lasting);
        match wait {
            OutageWait::Requested(wait) if wait <= remaining => OutageVerdict::Retry(wait),
            // The last attempt is at the very end of that time.
            OutageWait::Usual(wait) if !remaining.is_zero() => OutageVerdict::Retry(wait.min(remaining)),
            _ => OutageVerdict::GiveUpService,
        }
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
        let a_minute = Duration::from_secs(60);
        // The answers and failures of all requests, the last attempt but one of the request, and when it is judged.
        let cases = [
            ("another was answered meanwhile", vec![(true, 20)], 10, 30, Some(600), false, GiveUpRequest),
            ("another was answered before", vec![(true, 5), (false, 10)], 10, 30, Some(600), false, Probe),
            ("nothing was ever answered", vec![(false, 10)], 10, 30, Some(600), false, Probe),
            ("the probe is not answered either", vec![(false, 10)], 10, 30, Some(600), true, Retry(a_minute)),
            ("the probe was answered", vec![(false, 10), (true, 29)], 10, 30, Some(600), true, GiveUpRequest),
            ("a minute is left", vec![(false, 10)], 10, 550, Some(600), true, Retry(a_minute)),
            ("half of it is left", vec![(false, 10)], 10, 580, Some(600), true, Retry(a_minute / 2)),
            ("ten minutes", vec![(false, 10)], 10, 610, Some(600), true, GiveUpService),
            ("it began before that attempt", vec![(false, 10)], 300, 610, Some(600), true, GiveUpService),
            (
                "another one ended before",
                vec![(false, 10), (true, 299), (false, 300)],
                300,
                610,
                Some(600),
                true,
                Retry(a_minute),
            ),
            ("a failure that lasts", vec![(false, 10)], 10, 11, Some(0), false, Probe),
            (
                "a failure that lasts, and the probe is not answered",
                vec![(false, 10)],
                10,
                11,
                Some(0),
                true,
                GiveUpService,
            ),
            ("outages are not waited out", vec![(false, 10)], 10, 30, None, true, GiveUpRequest),
        ];
        for (name, responses, since, now, max_outage, probed, expected) in cases {
            let mut health = ServiceHealth::default();
            for (is_answer, second) in responses {
                if is_answer { health.answered(at(second)) } else { health.failed(at(second)) }
            }
            let max_outage = max_outage.map(Duration::from_secs);
            let verdict = health.judge(at(since), (at(now), OutageWait::Usual(a_minute)), max_outage, probed);
            assert_eq!(verdict, expected, "{name}");
        }
        // What the service asks for is kept, or it is too long.
        for (now, expected) in [(550, Retry(a_minute)), (551, GiveUpService)] {
            let mut health = ServiceHealth::default();
            health.failed(at(10));
            let wait = OutageWait::Requested(a_minute);
            assert_eq!(health.judge(at(10), (at(now), wait), Some(Duration::from_secs(600)), true), expected);
        }
    }
}
