//! The point at which a run with `--full` starts afresh: together, or not at all.

use std::collections::BTreeMap;

use copilot_lake_tables::Service;
use tokio::sync::watch;

/// Whether any service has work pending that a stopped run left.
///
/// A run with `--full` first does what a stopped one left, and reads everything afresh only when no service has such
/// work: otherwise the failure of one service would make the others read everything once more.
pub(crate) struct RestartBarrier(watch::Sender<BTreeMap<Service, Option<bool>>>);

impl RestartBarrier {
    /// A barrier that waits for a declaration of each of these services.
    pub(crate) fn new(services: impl IntoIterator<Item = Service>) -> Self {
        Self(watch::Sender::new(services.into_iter().map(|service| (service, None)).collect()))
    }

    /// Declares whether a service has work pending. Its first declaration stands.
    pub(crate) fn declare(&self, service: Service, has_pending: bool) {
        self.0.send_modify(|declared| {
            declared.entry(service).or_default().get_or_insert(has_pending);
        });
    }

    /// Waits until one service has declared pending work, or all have declared that they have none: `true`.
    pub(crate) async fn nothing_pending(&self) -> bool {
        let is_known = |declared: &BTreeMap<_, Option<bool>>| {
            declared.values().any(|has| *has == Some(true)) || declared.values().all(Option::is_some)
        };
        let mut declared = self.0.subscribe();
        // The sender lives as long as `self`.
        declared.wait_for(is_known).await.is_ok_and(|declared| declared.values().all(|has| *has == Some(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn nothing_is_pending_once_all_services_declare_it() {
        let barrier = RestartBarrier::new(Service::ALL);
        barrier.declare(Service::Dataverse, false);
        assert_eq!(barrier.nothing_pending().now_or_never(), None, "the other has not declared");
        barrier.declare(Service::Graph, false);
        barrier.declare(Service::Graph, true);
        assert_eq!(barrier.nothing_pending().now_or_never(), Some(true));
        let barrier = RestartBarrier::new(Service::ALL);
        barrier.declare(Service::Graph, true);
        assert_eq!(barrier.nothing_pending().now_or_never(), Some(false), "whatever the other declares");
        assert_eq!(RestartBarrier::new([]).nothing_pending().now_or_never(), Some(true));
    }
}
