//! What the services of a run have left of what was stopped.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// Which services have something left. Whoever reads everything again starts afresh when none has, and not before: else what
/// one of them failed at would let the other read everything once more.
pub(crate) struct RestartBarrier(watch::Sender<BTreeMap<&'static str, Option<bool>>>);

impl RestartBarrier {
    /// These services will say.
    pub(crate) fn new(sources: impl IntoIterator<Item = &'static str>) -> Self {
        Self(watch::Sender::new(sources.into_iter().map(|source| (source, None)).collect()))
    }

    /// Says whether a service has something left. What it declared first holds.
    pub(crate) fn declare(&self, source: &'static str, has: bool) {
        self.0.send_modify(|declared| {
            declared.entry(source).or_default().get_or_insert(has);
        });
    }

    /// Waits until one has something left, or all have declared that they have nothing: `true`.
    pub(crate) async fn nothing_pending(&self) -> bool {
        let is_known = |declared: &BTreeMap<_, Option<bool>>| {
            declared.values().any(|has| *has == Some(true)) || declared.values().all(Option::is_some)
        };
        let mut declared = self.0.subscribe();
        // The sender lives as long as this.
        declared.wait_for(is_known).await.is_ok_and(|declared| declared.values().all(|has| *has == Some(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn nothing_is_left_when_all_say_so() {
        let barrier = RestartBarrier::new(["a", "b"]);
        barrier.declare("a", false);
        assert_eq!(barrier.nothing_pending().now_or_never(), None, "the other has not declared");
        barrier.declare("b", false);
        barrier.declare("b", true);
        assert_eq!(barrier.nothing_pending().now_or_never(), Some(true));
        let barrier = RestartBarrier::new(["a", "b"]);
        barrier.declare("b", true);
        assert_eq!(barrier.nothing_pending().now_or_never(), Some(false), "whatever the other says");
        assert_eq!(RestartBarrier::new([]).nothing_pending().now_or_never(), Some(true));
    }
}
