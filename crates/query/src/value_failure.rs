//! Failures of single values, told by their kind and by the columns that were read: the text of a library may quote a
//! value, which is somebody's.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

use crate::fallible::FallibleParts;

/// What cannot be done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueFailure {
    /// It is not of the type that it is cast to.
    Cast,
    /// It is zero, and something is divided by it.
    Division,
    /// The result is too large.
    Overflow,
    /// An operator has no result for it.
    Operation,
    /// A function has no result for it.
    Function,
}

impl ValueFailure {
    /// The failure that an error is, seen without its wrappers; `None`: it is about something else than a value.
    pub(crate) fn of(root: &DataFusionError) -> Option<Self> {
        match root {
            DataFusionError::ArrowError(cause, _) => Self::of_arrow(cause),
            DataFusionError::ParquetError(cause) => Self::of_parquet(cause),
            DataFusionError::Execution(message) if !quotes_nothing(message) => Some(Self::Function),
            _ => None,
        }
    }

    fn of_arrow(error: &ArrowError) -> Option<Self> {
        match error {
            ArrowError::CastError(_) | ArrowError::ParseError(_) => Some(Self::Cast),
            // How a condition that is tested while a file is read reports its own error.
            ArrowError::ComputeError(message) if message.contains("ArrowError(CastError(") => Some(Self::Cast),
            ArrowError::DivideByZero => Some(Self::Division),
            ArrowError::ArithmeticOverflow(_) => Some(Self::Overflow),
            // These name a file, or an amount of memory.
            ArrowError::IoError(..) | ArrowError::MemoryError(_) => None,
            _ => Some(Self::Operation),
        }
    }

    fn of_parquet(error: &ParquetError) -> Option<Self> {
        match error {
            ParquetError::General(message) | ParquetError::ArrowError(message) if message.contains("predicate") => {
                Self::of_arrow(&ArrowError::ComputeError(message.clone()))
            }
            ParquetError::External(inner) => Self::of_arrow(inner.downcast_ref()?),
            _ => None,
        }
    }

    /// What failed, and what the query does that can fail like this.
    pub(crate) fn words(self, parts: &FallibleParts) -> String {
        let (kind, place) = match self {
            Self::Cast => ("a value does not have the type that it is cast to", parts.casts()),
            Self::Division => ("division by zero", parts.operations()),
            Self::Overflow => ("a result is too large for its type", parts.operations()),
            Self::Operation => ("an operation cannot be done with a value that it was given", parts.computations()),
            Self::Function => ("a function cannot be computed for a value that it was given", parts.functions()),
        };
        format!("{kind}{place}")
    }
}

/// What a worker says that waited in vain for its part of a plan.
pub(crate) const PLAN_NOT_RECEIVED: &str = "Worker::execute_task timed-out";

/// Whether a message is one of those that are known to quote no value.
pub(crate) fn quotes_nothing(message: &str) -> bool {
    let known =
        ["getvariable needs ", "timezone needs ", "Scalar subquery returned more than one row", PLAN_NOT_RECEIVED];
    known.iter().any(|start| message.starts_with(start))
}
