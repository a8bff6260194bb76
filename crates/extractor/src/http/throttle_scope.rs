//! The scope of a response that asks for a wait: one resource, such as a mailbox, or everything that the identity
//! requests.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Whom a response concerns that asks for a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThrottleScope {
    /// The resource of this request, such as one mailbox: nothing else waits.
    Resource,
    /// Everything that the identity requests.
    Identity,
    /// The response does not say.
    Unclear,
}

/// How long unclear responses are looked at together.
const WINDOW: Duration = Duration::from_secs(60);

/// Throttling concerns everybody if at least one response in this many is refused.
const REFUSED_SHARE: usize = 5;

/// Responses that ask for a wait without saying whom: the resource at first, and everybody once others are refused too.
#[derive(Debug, Default)]
pub(crate) struct UnclearThrottling {
    window: Mutex<UnclearWindow>,
}

/// What came within the window.
#[derive(Debug, Default)]
struct UnclearWindow {
    /// The first such response.
    since: Option<Instant>,
    /// The resources that were refused since then.
    refused: HashSet<u64>,
    /// Responses since then that were no refusals.
    answered: usize,
}

impl UnclearThrottling {
    /// Takes in a response that is no refusal.
    pub(crate) fn answered(&self) {
        let mut window = self.lock();
        if window.since.is_some() {
            window.answered = window.answered.saturating_add(1);
        }
    }

    /// Takes in an unclear refusal of a resource; returns whom it is taken to concern. Resource 0 is nothing narrower than
    /// everybody.
    pub(crate) fn refused(&self, resource: u64) -> ThrottleScope {
        if resource == 0 {
            return ThrottleScope::Identity;
        }
        let now = Instant::now();
        let mut window = self.lock();
        if window.since.is_none_or(|since| now - since > WINDOW) {
            *window = UnclearWindow { since: Some(now), ..UnclearWindow::default() };
        }
        window.refused.insert(resource);
        let refused = window.refused.len();
        let is_large_share = refused * REFUSED_SHARE >= refused + window.answered;
        if refused > 1 && is_large_share { ThrottleScope::Identity } else { ThrottleScope::Resource }
    }

    fn lock(&self) -> MutexGuard<'_, UnclearWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A resource that is refused so often while others are answered, and nothing else is refused, is throttled by itself.
const REFUSALS_ALONE: u32 = 10;

/// Responses that throttle the whole identity, of which those for one resource may be meant for that alone: they come again
/// and again, while others are answered after every wait.
#[derive(Debug, Default)]
pub(crate) struct LoneThrottling {
    last: Mutex<LoneResource>,
}

/// The resource that was refused last.
#[derive(Debug, Default)]
struct LoneResource {
    resource: u64,
    /// How often: only requests that were sent after the last of these refusals came count.
    refused: u32,
    refused_at: Option<Instant>,
    /// Whether a request for another resource that was sent after that was answered.
    are_others_answered: bool,
}

impl LoneThrottling {
    /// Takes in a response for a resource that is no refusal, to a request that was sent at `begun`.
    pub(crate) fn answered(&self, resource: u64, begun: Instant) {
        let mut last = self.lock();
        if last.resource == resource {
            *last = LoneResource::default();
        } else if last.refused_at.is_some_and(|at| begun > at) {
            last.are_others_answered = true;
        }
    }

    /// Takes in a refusal of a resource by a response to a request that was sent at `begun`; returns whom it is taken to
    /// concern.
    pub(crate) fn refused(&self, resource: u64, begun: Instant) -> ThrottleScope {
        let mut last = self.lock();
        let refused_at = Some(Instant::now());
        if last.resource != resource || last.refused_at.is_none() {
            *last = LoneResource { resource, refused_at, ..LoneResource::default() };
        } else if last.are_others_answered && last.refused_at.is_some_and(|at| begun > at) {
            let refused = last.refused.saturating_add(1);
            *last = LoneResource { resource, refused, refused_at, are_others_answered: false };
        }
        let is_alone = resource != 0 && last.refused >= REFUSALS_ALONE;
        if is_alone { ThrottleScope::Resource } else { ThrottleScope::Identity }
    }

    fn lock(&self) -> MutexGuard<'_, LoneResource> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum ObservedResponse {
        /// A refusal of this resource.
        Refused(u64),
        /// So many others.
        Answered(usize),
        /// So many seconds later.
        Later(u64),
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_of_cases() {
        use ObservedResponse::{Answered, Later, Refused};
        use ThrottleScope::{Identity, Resource};
        for (what, responses, expected) in [
            ("one resource", vec![Refused(1)], Resource),
            ("none in particular", vec![Refused(0)], Identity),
            ("one resource again and again", vec![Refused(1), Refused(1), Refused(1)], Resource),
            ("two, and nothing else is answered", vec![Refused(1), Refused(2)], Identity),
            ("two among few others", vec![Refused(1), Answered(8), Refused(2)], Identity),
            ("two among many others", vec![Refused(1), Answered(9), Refused(2)], Resource),
            ("what was answered before says nothing", vec![Answered(99), Refused(1), Refused(2)], Identity),
            ("one per cent of all", vec![Refused(1), Answered(99), Refused(2), Answered(99), Refused(3)], Resource),
            ("more and more of them", vec![Refused(1), Answered(9), Refused(2), Refused(3), Refused(1)], Identity),
            ("another one a minute later", vec![Refused(1), Later(61), Refused(2)], Resource),
            ("another one within a minute", vec![Refused(1), Later(59), Refused(2)], Identity),
        ] {
            let throttling = UnclearThrottling::default();
            let mut scope = None;
            for response in responses {
                match response {
                    Refused(resource) => scope = Some(throttling.refused(resource)),
                    Answered(count) => (0..count).for_each(|_| throttling.answered()),
                    Later(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
                }
            }
            assert_eq!(scope, Some(expected), "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_alone_is_refused_while_others_are_answered_is_throttled_alone() {
        use ThrottleScope::{Identity, Resource};
        let pause = Duration::from_secs(1);
        // After so many rounds, in each of which one is refused and others are answered or refused.
        for (what, resource, answered, refused, pause, expected) in [
            ("others are answered", 1, Some(2), None, pause, Resource),
            ("it is the same burst", 1, Some(2), None, Duration::ZERO, Identity),
            ("nothing else is requested", 1, None, None, pause, Identity),
            ("others are refused too", 1, Some(3), Some(2), pause, Identity),
            ("it is answered in between", 1, Some(1), None, pause, Identity),
            ("it is nothing in particular", 0, Some(2), None, pause, Identity),
        ] {
            let throttling = LoneThrottling::default();
            let mut scope = None;
            for round in 0..=REFUSALS_ALONE {
                let begun = Instant::now();
                scope = Some(throttling.refused(resource, begun));
                assert!(round == REFUSALS_ALONE || scope == Some(Identity), "{what}: {round}");
                if let Some(other) = refused {
                    throttling.refused(other, begun);
                }
                tokio::time::advance(pause).await;
                if let Some(other) = answered {
                    throttling.answered(other, Instant::now());
                }
            }
            assert_eq!(scope, Some(expected), "{what}");
        }
    }
}
