//! The workers of a session, which of them failed, and what became of plans for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::Result;
use datafusion_distributed::WorkerResolver;
use futures::channel::oneshot;
use url::Url;

use super::failure::{PlanFailure, WorkerFailure};

/// The workers of a session. Clones share what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSet {
    all: Arc<[Url]>,
    failed: Arc<Mutex<Vec<WorkerFailure>>>,
    /// Plans under way, by the identifier that workers know a plan by.
    plans: Arc<Mutex<HashMap<u128, oneshot::Sender<PlanFailure>>>>,
    /// Why plans were computed by this process.
    unsupported: Arc<Mutex<Vec<String>>>,
}

impl WorkerSet {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        Self { all: urls.into(), failed: Arc::default(), plans: Arc::default(), unsupported: Arc::default() }
    }

    /// Every worker, whether it failed or not.
    pub(crate) fn all(&self) -> &[Url] {
        &self.all
    }

    /// Plans nothing more for a worker. Returns whether that leaves others to do its work: no, if it is unknown.
    pub(crate) fn exclude(&self, failure: WorkerFailure) -> bool {
        let is_known = self.is_available(&failure.url);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        is_known && !self.available().is_empty()
    }

    /// The workers that failed, in that order.
    pub(crate) fn failed(&self) -> Vec<WorkerFailure> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Receives why a worker was not given its part of a plan, as soon as that is known.
    pub(crate) fn plan_failure(&self, plan: Option<u128>) -> oneshot::Receiver<PlanFailure> {
        let (sender, receiver) = oneshot::channel();
        if let Some(plan) = plan {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.retain(|_, sender| !sender.is_canceled());
            plans.insert(plan, sender);
        }
        receiver
    }

    /// Ends the wait for the rows of a plan of which a worker was not given its part.
    pub(crate) fn note_plan_failure(&self, plan: u128, failure: PlanFailure) {
        let sender = self.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&plan);
        // Nobody waits once there are rows, and the first failure tells enough.
        let _ = sender.map(|sender| sender.send(failure));
    }

    /// Keeps why a plan was computed by this process.
    pub(crate) fn note_unsupported(&self, reason: String) {
        self.unsupported.lock().unwrap_or_else(PoisonError::into_inner).push(reason);
    }

    /// Why plans were computed by this process, one reason each.
    pub(crate) fn unsupported(&self) -> Vec<String> {
        self.unsupported.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_available(&self, url: &str) -> bool {
        self.available().iter().any(|available| available.as_str() == url)
    }

    fn available(&self) -> Vec<Url> {
        let failed = self.failed();
        let is_available = |url: &&Url| !failed.iter().any(|failure| failure.url == url.as_str());
        self.all.iter().filter(is_available).cloned().collect()
    }
}

impl WorkerResolver for WorkerSet {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.available())
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::FailureKind;
    use super::*;

    fn failure(url: &str) -> WorkerFailure {
        WorkerFailure { kind: FailureKind::Failed, url: url.to_owned(), reason: String::new() }
    }

    #[test]
    fn a_query_goes_on_while_a_worker_is_left() {
        let set = WorkerSet::new(["http://a/", "http://b/"].map(|url| url.parse().unwrap()).to_vec());
        let fails = |url: &str| set.exclude(failure(url));
        assert!(!fails("http://c/") && fails("http://b/") && !fails("http://b/") && !fails("http://a/"));
        assert!(set.get_urls().unwrap().is_empty() && set.all().len() == 2);
    }

    #[test]
    fn a_plan_that_was_not_taken_fails_its_own_query_alone() {
        let set = WorkerSet::new(["http://a/", "http://b/"].map(|url| url.parse().unwrap()).to_vec());
        let (mut first, mut second) = (set.plan_failure(Some(1)), set.plan_failure(Some(2)));
        let failed = PlanFailure::Worker(failure("http://a/"));
        set.clone().note_plan_failure(2, failed.clone());
        set.note_plan_failure(2, PlanFailure::Unsupported("later".to_owned()));
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(None), Ok(Some(failed))));
        // A plan without workers, and one that has its rows.
        assert!(set.plan_failure(None).try_recv().is_err());
        drop(first);
        set.note_plan_failure(1, PlanFailure::Unsupported("late".to_owned()));
        assert!(set.failed().is_empty() && set.unsupported().is_empty());
    }
}
