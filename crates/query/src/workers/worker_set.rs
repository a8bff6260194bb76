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
}

impl WorkerSet {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        Self { all: urls.into(), failed: Arc::default() }
    }

    /// Every worker, whether it failed or not.
    pub(crate) fn all(&self) -> &[Url] {
        &self.all
    }

    /// Plans nothing more for a worker. Returns whether that leaves others to do its work: no, if it is unknown.
    pub(crate) fn exclude(&self, failure: WorkerFailure) -> bool {
        let is_known = self.available().iter().any(|url| url.as_str() == failure.url);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        is_known && !self.available().is_empty()
    }

    /// The workers that failed, in that order.
    pub(crate) fn failed(&self) -> Vec<WorkerFailure> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    #[test]
    fn a_query_goes_on_while_a_worker_is_left() {
        let set = WorkerSet::new(["http://a/", "http://b/"].map(|url| url.parse().unwrap()).to_vec());
        let fails = |url: &str| {
            let failure = WorkerFailure { kind: FailureKind::Failed, url: url.to_owned(), reason: String::new() };
            set.exclude(failure)
        };
        assert!(!fails("http://c/") && fails("http://b/") && !fails("http://b/") && !fails("http://a/"));
        assert!(set.get_urls().unwrap().is_empty() && set.all().len() == 2);
    }
}
