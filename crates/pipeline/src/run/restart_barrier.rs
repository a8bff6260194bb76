//! What the services of a run have left of what was stopped.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// Which services have something left. Whoever reads everything again begins anew when none has, and not before: else what
/// one of them failed at would let the other read everything once more.
pub(crate) struct Left(watch::Sender<BTreeMap<&'static str, Option<bool>>>);

impl Left {
    /// These services will say.
    pub(crate) fn of(sources: impl IntoIterator<Item = &'static str>) -> Self {
        Self(watch::Sender::new(sources.into_iter().map(|source| (source, None)).collect()))
    }

    /// Says whether a service has something left. What it said first holds.
    pub(crate) fn say(&self, source: &'static str, has: bool) {
        self.0.send_modify(|said| {
            said.entry(source).or_default().get_or_insert(has);
        });
    }

    /// Waits until one has something left, or all have said that they have nothing: `true`.
    pub(crate) async fn is_nothing(&self) -> bool {
        let is_known = |said: &BTreeMap<_, Option<bool>>| {
            said.values().any(|has| *has == Some(true)) || said.values().all(Option::is_some)
        };
        let mut said = self.0.subscribe();
        // The sender lives as long as this.
        said.wait_for(is_known).await.is_ok_and(|said| said.values().all(|has| *has == Some(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn nothing_is_left_when_all_say_so() {
        let left = Left::of(["a", "b"]);
        left.say("a", false);
        assert_eq!(left.is_nothing().now_or_never(), None, "the other has not said");
        left.say("b", false);
        left.say("b", true);
        assert_eq!(left.is_nothing().now_or_never(), Some(true));
        let left = Left::of(["a", "b"]);
        left.say("b", true);
        assert_eq!(left.is_nothing().now_or_never(), Some(false), "whatever the other says");
        assert_eq!(Left::of([]).is_nothing().now_or_never(), Some(true));
    }
}
