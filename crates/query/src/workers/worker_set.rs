//! The workers of a session, and which of them failed.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::Result;
use datafusion_distributed::WorkerResolver;
use url::Url;

use super::failure::WorkerFailure;

/// The workers of a session. Clones share what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSet {
    all: Arc<[Url]>,
    failed: Arc<Mutex<Vec<WorkerFailure>>>,
    /// The latest failure to hand over a plan.
    plan_failure: Arc<Mutex<Option<WorkerFailure>>>,
}

impl WorkerSet {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        Self { all: urls.into(), failed: Arc::default(), plan_failure: Arc::default() }
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

    /// Keeps the failure of a worker that got no plan, for the failure of the query that follows.
    pub(crate) fn note_plan_failure(&self, failure: WorkerFailure) {
        *self.plan_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// The worker that got no plan, unless nothing is planned for it any more.
    pub(crate) fn take_plan_failure(&self) -> Option<WorkerFailure> {
        let failure = self.plan_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.filter(|failure| self.is_available(&failure.url))
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
    fn a_plan_that_was_not_taken_explains_one_failure() {
        let set = WorkerSet::new(["http://a/", "http://b/"].map(|url| url.parse().unwrap()).to_vec());
        let same = set.clone();
        same.note_plan_failure(failure("http://a/"));
        assert_eq!(set.take_plan_failure(), Some(failure("http://a/")));
        assert_eq!(set.take_plan_failure(), None);
        // The connection to a worker that is left out already may end later.
        assert!(set.exclude(failure("http://a/")));
        set.note_plan_failure(failure("http://a/"));
        assert_eq!(set.take_plan_failure(), None);
    }
}
