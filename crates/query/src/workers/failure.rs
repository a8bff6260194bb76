//! Failures of workers, as errors of the engine that keep the worker's address on their way from worker to worker.

use std::fmt;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use tonic::{Code, Status};
use url::Url;

/// What a failure of a worker means for the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The worker cannot be reached, ended or is busy: others can do its work.
    Failed,
    /// The worker wants another token.
    Refused,
    /// The worker is of another version, or serves another lake.
    Unfit,
}

impl FailureKind {
    const ALL: [Self; 3] = [Self::Failed, Self::Refused, Self::Unfit];

    fn of(status: &Status) -> Self {
        match status.code() {
            Code::Unauthenticated => Self::Refused,
            Code::FailedPrecondition => Self::Unfit,
            _ => Self::Failed,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unfit => "unfit",
        }
    }
}

/// A worker that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerFailure {
    pub(crate) kind: FailureKind,
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// The context of an error between workers, which are sent it as text: `worker failed http://10.0.0.7:8410/`.
impl fmt::Display for WorkerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} {}", self.kind.word(), self.url)
    }
}

impl WorkerFailure {
    /// The failure that an error is; what a plan failed for on the worker is none.
    pub(crate) fn in_error(error: &DataFusionError) -> Option<Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            let shared = || error.downcast_ref::<Arc<DataFusionError>>().map(|error| &**error);
            if let Some(DataFusionError::Context(context, cause)) =
                error.downcast_ref::<DataFusionError>().or_else(shared)
                && let Some(failure) = Self::parse(context, cause)
            {
                return Some(failure);
            }
            next = error.source();
        }
        None
    }

    fn parse(context: &str, cause: &DataFusionError) -> Option<Self> {
        let (word, url) = context.strip_prefix("worker ")?.split_once(' ')?;
        let kind = FailureKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let reason = match cause {
            DataFusionError::Execution(reason) => reason.clone(),
            cause => cause.strip_backtrace(),
        };
        Some(Self { kind, url: url.to_owned(), reason })
    }
}

/// An error of a connection to a worker, with its address; what the worker itself reports of a plan stays as it is.
pub(crate) fn with_address(url: &Url, error: DataFusionError) -> DataFusionError {
    let DataFusionError::External(cause) = &error else { return error };
    let Some(status) = cause.downcast_ref::<Status>() else { return error };
    let failure = WorkerFailure { kind: FailureKind::of(status), url: url.to_string(), reason: reason(status) };
    DataFusionError::Context(failure.to_string(), Box::new(DataFusionError::Execution(failure.reason)))
}

/// What a status says, with its causes.
fn reason(status: &Status) -> String {
    let mut reason = status.message().to_owned();
    let mut next = std::error::Error::source(status);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = if reason.is_empty() { text } else { format!("{reason}: {text}") };
        }
        next = cause.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_found_through_wrappers_and_a_failing_plan_is_none() {
        let url: Url = "http://127.0.0.1:1/".parse().unwrap();
        for (status, kind) in [
            (Status::unauthenticated("why"), FailureKind::Refused),
            (Status::failed_precondition("why"), FailureKind::Unfit),
            (Status::unavailable("why"), FailureKind::Failed),
            (Status::unknown("why"), FailureKind::Failed),
        ] {
            let error = with_address(&url, DataFusionError::External(Box::new(status)));
            let error = DataFusionError::Shared(Arc::new(DataFusionError::Shared(Arc::new(error)))).context("outer");
            let failure = WorkerFailure { kind, url: url.to_string(), reason: "why".to_owned() };
            assert_eq!(WorkerFailure::in_error(&error), Some(failure));
        }
        let of_plan = with_address(&url, DataFusionError::Execution("why".to_owned())).context("worker bees");
        assert_eq!(WorkerFailure::in_error(&of_plan), None);
    }
}
