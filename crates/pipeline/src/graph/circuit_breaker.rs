//! The circuit breaker: whether reading histories is worth going on with, or the application itself is refused. Pure.

use copilot_lake_extractor::Error as ServiceError;

use crate::slice_error::SliceError;

/// Refusals of users who should have a history after which, when no history was read, the application is refused.
pub(crate) const REFUSED: usize = 100;
/// Consecutive failures after which an unreachable service is given up.
const FAILED: usize = 100;

/// How an attempt to read a history ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The history was read to its end.
    Done,
    /// The run was stopped meanwhile: this says nothing of the user.
    Stopped,
    /// The service refused with 403 or 412, and gave no reason that is the user's own. `expected`: the user should have
    /// a history.
    Refused { expected: bool },
    /// The user has no history that can be read, for a reason of the user's own.
    Skipped,
    /// Something else failed. `unreachable`: the service did not answer, or only with transient errors.
    Failed { unreachable: bool },
    /// An error that every other user would get as well.
    ServiceWide,
}

impl Attempt {
    pub(crate) fn new(result: &Result<(), SliceError>, expected: bool) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(SliceError::Stopped) => Self::Stopped,
            Err(SliceError::Service(error)) if error.is_service_wide() => Self::ServiceWide,
            Err(SliceError::Service(error)) if error.may_concern_everybody() => Self::Refused { expected },
            Err(SliceError::Service(ServiceError::UserRefused { .. })) => Self::Skipped,
            Err(SliceError::Service(ServiceError::Unreachable { .. } | ServiceError::RetriesExhausted { .. })) => {
                Self::Failed { unreachable: true }
            }
            Err(_) => Self::Failed { unreachable: false },
        }
    }
}

/// What to do about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing happened that could be recorded.
    Ignore,
    /// Record it: it is about this user.
    Record,
    /// Do not record it yet: it may be about the application.
    Hold,
    /// Give the service up with this attempt's error.
    GiveUp,
}

/// What attempts have shown so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CircuitBreaker {
    /// A page of a history was received: the application may read histories.
    answered: bool,
    refused: usize,
    /// The refused users who should have a history.
    refused_expected: usize,
    skipped: usize,
    failed: usize,
    /// Failures since a history was read.
    failed_in_a_row: usize,
}

impl CircuitBreaker {
    /// Notes that a page of a history was received.
    pub(crate) fn page_received(&mut self) {
        self.answered = true;
    }

    /// Whether any history could be read.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered
    }

    /// Notes how an attempt ended. Returns what to do about it.
    pub(crate) fn attempted(&mut self, attempt: Attempt) -> Verdict {
        match attempt {
            Attempt::Stopped => Verdict::Ignore,
            Attempt::ServiceWide => Verdict::GiveUp,
            Attempt::Done => {
                self.failed_in_a_row = 0;
                Verdict::Record
            }
            Attempt::Refused { expected } => {
                self.refused += 1;
                self.refused_expected += usize::from(expected);
                if self.answered { Verdict::Record } else { Verdict::Hold }
            }
            Attempt::Skipped => {
                self.skipped += 1;
                Verdict::Record
            }
            Attempt::Failed { unreachable } => {
                self.failed += 1;
                self.failed_in_a_row += 1;
                if unreachable && self.failed_in_a_row >= FAILED { Verdict::GiveUp } else { Verdict::Record }
            }
        }
    }

    /// Whether the application is refused, as is known before everyone was tried.
    pub(crate) fn is_open(&self) -> bool {
        !self.answered && self.failed == 0 && self.refused_expected >= REFUSED
    }

    /// Whether the application is refused, now that no further attempt is made.
    pub(crate) fn is_application_refused(&self, everyone_was_tried: bool) -> bool {
        let mostly_refused = !self.answered && self.refused > self.skipped + self.failed;
        (everyone_was_tried && mostly_refused) || self.is_open()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REFUSED_EXPECTED: Attempt = Attempt::Refused { expected: true };
    const REFUSED_OTHER: Attempt = Attempt::Refused { expected: false };
    const UNREACHABLE: Attempt = Attempt::Failed { unreachable: true };
    const BROKEN: Attempt = Attempt::Failed { unreachable: false };

    #[test]
    fn a_table_of_cases() {
        use Verdict::{GiveUp, Hold, Ignore, Record};
        struct Case {
            name: &'static str,
            page: bool,
            attempts: Vec<(Attempt, usize)>,
            /// Of the last attempt.
            verdict: Verdict,
            is_open: bool,
            /// Before everyone was tried, and after.
            is_refused: [bool; 2],
        }
        let case = |name, page, attempts: &[(Attempt, usize)], verdict, is_open, is_refused| Case {
            name,
            page,
            attempts: attempts.to_vec(),
            verdict,
            is_open,
            is_refused,
        };
        let cases = [
            case("a history was read", true, &[(Attempt::Done, 1)], Record, false, [false; 2]),
            case("a stop says nothing", false, &[(Attempt::Stopped, 5)], Ignore, false, [false; 2]),
            case("one refusal, nobody read", false, &[(REFUSED_OTHER, 1)], Hold, false, [false, true]),
            case("one refusal, others read", true, &[(REFUSED_OTHER, 1)], Record, false, [false; 2]),
            case("99 expected users refused", false, &[(REFUSED_EXPECTED, 99)], Hold, false, [false, true]),
            case("100 expected users refused", false, &[(REFUSED_EXPECTED, 100)], Hold, true, [true; 2]),
            case("100 refused of whom nothing is expected", false, &[(REFUSED_OTHER, 100)], Hold, false, [false, true]),
            case("100 refused, others read", true, &[(REFUSED_EXPECTED, 100)], Record, false, [false; 2]),
            case("100 refused, one failed", false, &[(BROKEN, 1), (REFUSED_EXPECTED, 100)], Hold, false, [false, true]),
            case(
                "as many skipped as refused",
                false,
                &[(Attempt::Skipped, 2), (REFUSED_OTHER, 2)],
                Hold,
                false,
                [false; 2],
            ),
            case(
                "fewer skipped than refused",
                false,
                &[(REFUSED_OTHER, 3), (Attempt::Skipped, 2)],
                Record,
                false,
                [false, true],
            ),
            case("99 unreachable in a row", false, &[(UNREACHABLE, 99)], Record, false, [false; 2]),
            case("100 unreachable in a row", false, &[(UNREACHABLE, 100)], GiveUp, false, [false; 2]),
            case(
                "100 unreachable, but not in a row",
                true,
                &[(UNREACHABLE, 99), (Attempt::Done, 1), (UNREACHABLE, 1)],
                Record,
                false,
                [false; 2],
            ),
            case(
                "the last of 100 failures is another one",
                false,
                &[(UNREACHABLE, 99), (BROKEN, 1)],
                Record,
                false,
                [false; 2],
            ),
            case("an error that everyone would get", true, &[(Attempt::ServiceWide, 1)], GiveUp, false, [false; 2]),
        ];
        for Case { name, page, attempts, verdict, is_open, is_refused } in cases {
            let mut breaker = CircuitBreaker::default();
            if page {
                breaker.page_received();
            }
            let all = attempts.iter().flat_map(|(attempt, count)| std::iter::repeat_n(*attempt, *count));
            let last = all.map(|attempt| breaker.attempted(attempt)).last();
            assert_eq!(last, Some(verdict), "{name}");
            assert_eq!(breaker.is_open(), is_open, "{name}");
            assert_eq!([false, true].map(|everyone| breaker.is_application_refused(everyone)), is_refused, "{name}");
        }
    }

    #[test]
    fn what_an_error_says_of_whom() {
        let call = Box::default;
        let refused = |status, reason, is_own| {
            let code = String::new();
            ServiceError::UserRefused { status, code, reason, is_own, call: call() }
        };
        let exhausted = |status| ServiceError::RetriesExhausted { status, cause: String::new(), call: call() };
        for (what, error, expected) in [
            ("403 without a reason", refused(403, "", false), REFUSED_EXPECTED),
            ("412 without a reason", refused(412, "", false), REFUSED_EXPECTED),
            ("412 that names the token", refused(412, "an application's token is needed", false), REFUSED_EXPECTED),
            ("403 for want of a licence", refused(403, "no licence", true), Attempt::Skipped),
            ("412 for want of a mailbox", refused(412, "no mailbox", true), Attempt::Skipped),
            ("404", refused(404, "", true), Attempt::Skipped),
            ("an id with a slash", ServiceError::InvalidUserId { call: call() }, BROKEN),
            ("1,000 empty pages", ServiceError::BadPage { reason: String::new(), call: call() }, BROKEN),
            ("429 to the end", exhausted(429), UNREACHABLE),
            ("500 to the end", exhausted(500), UNREACHABLE),
            ("a long pause", ServiceError::Paused { remaining: Duration::ZERO, call: call() }, Attempt::ServiceWide),
            ("a stop", ServiceError::Stopped, Attempt::Stopped),
        ] {
            assert_eq!(Attempt::new(&Err(error.into()), true), expected, "{what}");
        }
        assert_eq!(Attempt::new(&Ok(()), true), Attempt::Done);
    }

    #[test]
    fn the_same_refusal_is_held_before_the_first_page_and_recorded_after_it() {
        let mut breaker = CircuitBreaker::default();
        assert_eq!(breaker.attempted(REFUSED_EXPECTED), Verdict::Hold);
        breaker.page_received();
        assert_eq!(breaker.attempted(REFUSED_EXPECTED), Verdict::Record);
        assert!(!breaker.is_application_refused(true));
    }
}
