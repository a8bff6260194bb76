//! Failures of workers, as errors of the engine that keep the worker's address on their way from worker to worker.

use std::fmt;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use tonic::{Code, Status};
use url::Url;

use crate::value_failure::PLAN_NOT_RECEIVED;

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

impl From<WorkerFailure> for DataFusionError {
    fn from(failure: WorkerFailure) -> Self {
        Self::Context(failure.to_string(), Box::new(Self::Execution(failure.reason)))
    }
}

/// Why workers do not compute a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanFailure {
    /// One of them failed, or refuses it.
    Worker(WorkerFailure),
    /// The plan cannot be sent to any of them, or `datafusion-distributed` cannot run it.
    Unsupported(String),
}

/// How errors begin that are about the distributed plan, and about no worker and no value. The last one: a column that
/// WHERE fixes to one value is not known as such behind a network, though the plan does not sort by it.
const UNSUPPORTED: [&str; 5] = [
    PLAN_NOT_RECEIVED,
    "Cannot execute a local stage",
    "Task index ",
    "Error decoding expr as protobuf",
    "Expects PARTITION BY expression to be ordered",
];

impl PlanFailure {
    /// Why a worker was not given its part of a plan.
    pub(crate) fn of_sending(error: &DataFusionError) -> Self {
        WorkerFailure::in_error(error).map_or_else(|| Self::unsupported(error), Self::Worker)
    }

    /// The failure that an error of a query under way is; what the query itself failed for is none.
    pub(crate) fn in_error(error: &DataFusionError) -> Option<Self> {
        if let Some(failure) = WorkerFailure::in_error(error) {
            return Some(Self::Worker(failure));
        }
        let is_of_plan = match error.find_root() {
            DataFusionError::Internal(_) | DataFusionError::NotImplemented(_) => true,
            DataFusionError::Execution(message) | DataFusionError::Plan(message) => {
                let is_partition =
                    message.starts_with("partition ") && message.contains(" not available. The head plan ");
                is_partition || UNSUPPORTED.iter().any(|start| message.starts_with(start))
            }
            _ => false,
        };
        is_of_plan.then(|| Self::unsupported(error))
    }

    /// The reason is told by its kind: the text of a library may quote a value, which is somebody's.
    fn unsupported(error: &DataFusionError) -> Self {
        let reason = match error.find_root() {
            DataFusionError::Internal(_) => "an internal error of the engine",
            DataFusionError::NotImplemented(_) => "the plan has a part that cannot be sent",
            DataFusionError::Execution(message) | DataFusionError::Plan(message) => {
                let known = UNSUPPORTED.into_iter().find(|start| message.starts_with(start));
                known.map_or("an error of the distributed plan", str::trim_end)
            }
            _ => "another error of the engine",
        };
        Self::Unsupported(reason.to_owned())
    }
}

/// An error that a worker sent, or that its connection had, which gets the worker's address.
pub(crate) fn of_worker(url: &Url, error: DataFusionError) -> DataFusionError {
    let DataFusionError::External(cause) = &error else { return restored(error) };
    let Some(status) = cause.downcast_ref::<Status>() else { return error };
    WorkerFailure { kind: FailureKind::of(status), url: url.to_string(), reason: reason(status) }.into()
}

/// What a worker reports of a plan: for a missing file, the store's error. Parquet's errors are sent with the text of
/// their cause alone, and a query begins again only for a file that is known to be missing.
fn restored(error: DataFusionError) -> DataFusionError {
    let DataFusionError::ParquetError(parquet) = error.find_root() else { return error };
    let ParquetError::External(cause) = parquet.as_ref() else { return error };
    let text = cause.to_string();
    let missing = text.strip_prefix("Object at location ").and_then(|text| text.split_once(" not found: "));
    let Some((path, reason)) = missing else { return error };
    let (path, source) = (path.to_owned(), reason.into());
    DataFusionError::ObjectStore(Box::new(object_store::Error::NotFound { path, source }))
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
            let error = of_worker(&url, DataFusionError::External(Box::new(status)));
            let error = DataFusionError::Shared(Arc::new(DataFusionError::Shared(Arc::new(error)))).context("outer");
            let failure = WorkerFailure { kind, url: url.to_string(), reason: "why".to_owned() };
            assert_eq!(WorkerFailure::in_error(&error), Some(failure));
        }
        let of_plan = of_worker(&url, DataFusionError::Execution("why".to_owned())).context("worker bees");
        assert_eq!(WorkerFailure::in_error(&of_plan), None);
    }

    #[test]
    fn what_a_plan_fails_for_is_told_from_what_the_query_fails_for() {
        let url: Url = "http://127.0.0.1:1/".parse().unwrap();
        let in_error = |error: DataFusionError| {
            PlanFailure::in_error(&DataFusionError::Shared(Arc::new(of_worker(&url, error).context("outer"))))
        };
        let execution = |message: &str| DataFusionError::Execution(message.to_owned());
        for error in [
            execution("Worker::execute_task timed-out while waiting for the plan to be set by the coordinator. (why)"),
            execution("partition 2 not available. The head plan RepartitionExec of the stage just has 2 partitions"),
            execution("Expects PARTITION BY expression to be ordered"),
            DataFusionError::Internal("Unsupported plan".to_owned()),
            DataFusionError::NotImplemented("PhysicalExtensionCodec is not provided".to_owned()),
        ] {
            let sent = PlanFailure::of_sending(&error);
            assert!(matches!(sent, PlanFailure::Unsupported(_)), "{sent:?}");
            assert_eq!(in_error(error), Some(sent));
        }
        for error in [
            execution("division by zero"),
            execution("partition of a hair"),
            DataFusionError::Plan("unknown time zone".to_owned()),
            DataFusionError::ResourcesExhausted("why".to_owned()),
        ] {
            assert_eq!(in_error(error), None);
        }
        let silent = DataFusionError::External(Box::new(Status::unavailable("why")));
        assert!(matches!(in_error(silent), Some(PlanFailure::Worker(failure)) if failure.url == url.as_str()));
    }

    #[test]
    fn a_missing_file_is_known_by_what_is_sent_of_it() {
        let url: Url = "http://127.0.0.1:1/".parse().unwrap();
        let received = |text: String| {
            let error = DataFusionError::ParquetError(Box::new(ParquetError::External(text.into())));
            of_worker(&url, DataFusionError::Shared(Arc::new(error)))
        };
        let missing = object_store::Error::NotFound { path: "/lake/t/a.parquet".to_owned(), source: "no file".into() };
        let restored = received(missing.to_string());
        assert_eq!(copilot_lake_writer::missing_file(&restored), Some("/lake/t/a.parquet"), "{restored}");
        let DataFusionError::ObjectStore(restored) = &restored else { panic!("{restored}") };
        assert_eq!(restored.to_string(), missing.to_string());
        let other = received("Object at location /lake/t/a.parquet is cut".to_owned());
        assert_eq!(copilot_lake_writer::missing_file(&other), None, "{other}");
    }
}
