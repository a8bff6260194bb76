//! The outages of a service: of all of it, and of the workload that can be out by itself.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::attempt_error::AttemptError;
use super::outage_watch::OutageWatch;
use super::request::{Request, ResourceKind};

/// What the requests of one identity show of the service, and of histories: they are a workload of their own, and can be
/// out while the directory answers.
pub(crate) struct Outages {
    service: OutageWatch,
    histories: OutageWatch,
    /// The cheapest request there is.
    probe: Url,
    /// Histories of two mailboxes that were answered: they are again unless histories are out.
    answered_histories: Mutex<Vec<(u64, Url)>>,
}

impl fmt::Debug for Outages {
    /// Omits the histories, which name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, histories, .. } = self;
        f.debug_struct("Outages").field("service", service).field("histories", histories).finish_non_exhaustive()
    }
}

impl Outages {
    pub(crate) fn new(probe: Url) -> Self {
        let (service, histories) = (OutageWatch::default(), OutageWatch::default());
        Self { service, histories, probe, answered_histories: Mutex::default() }
    }

    /// From now on, outages are waited out for this long.
    pub(crate) fn wait_out(&self, longest: Duration) {
        self.service.wait_out(longest);
        self.histories.wait_out(longest);
    }

    /// Whether outages are waited out at all.
    pub(crate) fn are_waited_out(&self) -> bool {
        self.service.is_waited_out()
    }

    /// The watch over requests of this kind.
    pub(crate) fn watch(&self, kind: ResourceKind) -> &OutageWatch {
        if kind.is_history() { &self.histories } else { &self.service }
    }

    /// Notes that a request was answered as requested.
    pub(crate) fn answered(&self, request: &Request) {
        self.service.answered();
        if request.kind.is_history() {
            self.histories.answered();
            let mut answered = self.answered_histories.lock().unwrap_or_else(PoisonError::into_inner);
            if answered.len() < 2 && answered.iter().all(|(resource, _)| *resource != request.resource) {
                answered.push((request.resource, request.url.clone()));
            }
        }
    }

    /// Notes that an attempt of a request failed.
    pub(crate) fn failed(&self, request: &Request, error: &AttemptError) {
        self.service.failed(error);
        if request.kind.is_history() {
            self.histories.failed(error);
        }
    }

    /// The address that is answered unless there is an outage of what this request asks for: of another mailbox, since this
    /// one may fail alone.
    pub(crate) fn probe(&self, request: &Request) -> Url {
        let answered = self.answered_histories.lock().unwrap_or_else(PoisonError::into_inner);
        let other = answered.iter().find(|(resource, _)| request.kind.is_history() && *resource != request.resource);
        other.map_or(&self.probe, |(_, url)| url).clone()
    }
}
