//! Errors of queries.

use std::sync::Arc;

use arrow::error::ArrowError;
use copilot_lake_writer::{Remedy, SystemFailure};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

/// Why a query failed, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text or a parameter is wrong: it cannot be planned, or a value in it is invalid. Correct the query.
    #[error("the query cannot be run: {0}")]
    Question(String),
    /// The text names a column that no table of it has. Correct the name.
    #[error("the query cannot be run: No field named {name}")]
    ColumnNotFound {
        /// The name as the text has it.
        name: String,
        /// The columns that could stand there, with their tables.
        known: Vec<String>,
    },
    /// The text names a table that there is not. Correct the name.
    #[error("the query cannot be run: no table {name}")]
    TableNotFound {
        /// The name as the text has it.
        name: String,
    },
    /// The lake could not be opened, or its log could not be read.
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
    /// A table of the query cannot be read; others can.
    #[error("{reason}")]
    Table {
        /// Which one, and why.
        reason: String,
        /// What to do about it.
        remedy: Option<Remedy>,
    },
    /// Sorting or grouping needs more memory than a query may use.
    #[error("the query failed: {0}")]
    OutOfMemory(String),
    /// Computing failed while the query ran.
    #[error("the query failed: {0}")]
    Run(String),
}

/// Whether an error is about one table, which cannot be read; others can.
pub(crate) fn is_of_table(error: &copilot_lake_writer::Error) -> bool {
    error.stops_table().is_some() || matches!(error, copilot_lake_writer::Error::Log { .. })
}

impl Error {
    /// An error from before the first file is read.
    pub(crate) fn planning(error: &DataFusionError) -> Self {
        Self::of_table(error).unwrap_or_else(|| Self::of_text(error))
    }

    /// What is wrong with the text.
    fn of_text(error: &DataFusionError) -> Self {
        match root(error) {
            DataFusionError::SchemaError(of, _) => match of.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => Self::ColumnNotFound {
                    name: field.flat_name(),
                    known: valid_fields.iter().map(|column| column.flat_name()).collect(),
                },
                _ => Self::Question(text(error)),
            },
            DataFusionError::Plan(message) if unknown_table(message).is_some() => {
                Self::TableNotFound { name: unknown_table(message).unwrap_or_default().to_owned() }
            }
            // Constants are computed while a query is planned.
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
                Self::Question(failure(error, String::new))
            }
            _ => Self::Question(text(error)),
        }
    }

    /// The error of a table that cannot be read.
    fn of_table(error: &DataFusionError) -> Option<Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<Arc<copilot_lake_writer::Error>>() {
                return Some(Self::Table { reason: error.to_string(), remedy: error.remedy() });
            }
            next = error.source();
        }
        None
    }

    /// An error from running the query. Only its kind tells a wrong query from a failure, and only its kind is told: the
    /// text of a library may quote a value, which is somebody's. `casts` lists the casts of the query.
    pub(crate) fn running(error: &DataFusionError, casts: impl FnOnce() -> String) -> Self {
        if let Some(error) = Self::of_table(error) {
            return error;
        }
        match root(error) {
            DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
                Self::of_text(error)
            }
            root => {
                let is_out_of_memory = matches!(root, DataFusionError::ResourcesExhausted(_));
                let (remedy, reason) = (remedy(error), failure(error, casts));
                match remedy {
                    _ if is_out_of_memory => Self::OutOfMemory(reason),
                    Some(_) => Self::Table { reason: format!("the query failed: {reason}"), remedy },
                    None => Self::Run(reason),
                }
            }
        }
    }
}

/// What helps if a file or the system is to blame.
fn remedy(error: &DataFusionError) -> Option<Remedy> {
    if let Some(failure) = SystemFailure::of(error) {
        return Some(Remedy::OfSystem(failure));
    }
    match root(error) {
        DataFusionError::ParquetError(cause) if of_files(cause, String::new).is_none() => Some(Remedy::ReplaceFile),
        DataFusionError::ObjectStore(_) => Some(Remedy::ReplaceFile),
        _ => None,
    }
}

/// The innermost error, without a note of where in the text it arose.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error.find_root() {
        DataFusionError::Diagnostic(_, inner) => inner,
        root => root,
    }
}

/// The table that DataFusion does not find, in its words.
fn unknown_table(message: &str) -> Option<&str> {
    message.strip_prefix("table 'datafusion.public.")?.split_once("' not found").map(|(name, _)| name)
}

/// The innermost message on one line, without the wrappers' names and back traces.
fn text(error: &DataFusionError) -> String {
    let text = root(error).message().split_whitespace().collect::<Vec<_>>().join(" ");
    match text.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")")) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => text,
    }
}

/// What failed, without a value of any table.
fn failure(error: &DataFusionError, casts: impl FnOnce() -> String) -> String {
    match root(error) {
        DataFusionError::ArrowError(cause, _) => of_values(cause, casts).unwrap_or_else(|| text(error)),
        DataFusionError::ParquetError(cause) => of_files(cause, casts).unwrap_or_else(|| text(error)),
        // These name files, or amounts of memory.
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ResourcesExhausted(_)
        | DataFusionError::NotImplemented(_) => text(error),
        DataFusionError::External(inner) if inner.is::<object_store::Error>() => text(error),
        DataFusionError::Execution(message) if has_no_value(message) => text(error),
        DataFusionError::Execution(_) => "a function cannot be computed for a value that it was given".to_owned(),
        _ => "the query engine reports an internal error".to_owned(),
    }
}

/// What an error of Arrow is about; `None` if its own text says it and quotes no value.
fn of_values(error: &ArrowError, casts: impl FnOnce() -> String) -> Option<String> {
    Some(match error {
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            let casts = casts();
            let place = if casts.is_empty() { String::new() } else { format!("; the query casts {casts}") };
            format!("a value does not have the type that it is cast to{place}")
        }
        // How a condition that is tested while a file is read reports its own error.
        ArrowError::ComputeError(message) if message.contains("ArrowError(CastError(") => {
            return of_values(&ArrowError::CastError(String::new()), casts);
        }
        ArrowError::DivideByZero => "division by zero".to_owned(),
        ArrowError::ArithmeticOverflow(_) => "a result is too large for its type".to_owned(),
        ArrowError::MemoryError(_) => "there is not enough memory".to_owned(),
        // It names a file.
        ArrowError::IoError(..) => return None,
        _ => "an operation cannot be done with a value that it was given".to_owned(),
    })
}

/// What an error of Parquet is about; `None` if its own text says it, such as which file is damaged, and quotes no value.
fn of_files(error: &ParquetError, casts: impl FnOnce() -> String) -> Option<String> {
    match error {
        ParquetError::General(message) | ParquetError::ArrowError(message) if message.contains("predicate") => {
            of_values(&ArrowError::ComputeError(message.clone()), casts)
        }
        ParquetError::External(inner) => match inner.downcast_ref::<ArrowError>() {
            Some(error) => of_values(error, casts),
            None if inner.is::<object_store::Error>() || inner.is::<std::io::Error>() => None,
            None => Some("a file cannot be read".to_owned()),
        },
        _ => None,
    }
}

/// Whether a message is one of those that are known to quote no value.
fn has_no_value(message: &str) -> bool {
    let known = ["getvariable needs ", "timezone needs ", "Scalar subquery returned more than one row"];
    known.iter().any(|start| message.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_its_kind_and_quotes_no_value() {
        let arrow = |error: ArrowError| DataFusionError::ArrowError(Box::new(error), None);
        let secret = || "Cannot cast string '\u{1b}[31mJane's salary' to value of Int64 type".to_owned();
        let cast = "a value does not have the type that it is cast to; the query casts t.a to Int64";
        let function = "a function cannot be computed for a value that it was given";
        let operation = "an operation cannot be done with a value that it was given";
        for (error, words) in [
            (arrow(ArrowError::CastError(secret())), cast),
            (arrow(ArrowError::ParseError(secret())), cast),
            (arrow(ArrowError::ArithmeticOverflow(secret())), "a result is too large for its type"),
            (arrow(ArrowError::DivideByZero), "division by zero"),
            (arrow(ArrowError::ComputeError(secret())), operation),
            (arrow(ArrowError::InvalidArgumentError(secret())), operation),
            (arrow(ArrowError::JsonError(secret())), operation),
            (arrow(ArrowError::ExternalError(secret().into())), operation),
            (DataFusionError::Execution(secret()), function),
            (DataFusionError::Execution("timezone needs one zone for all rows".to_owned()), "timezone needs one zone"),
            (
                DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(ArrowError::CastError(
                    secret(),
                ))))),
                cast,
            ),
            (DataFusionError::ParquetError(Box::new(ParquetError::External(secret().into()))), "a file cannot be read"),
            (
                DataFusionError::ParquetError(Box::new(ParquetError::General("x.parquet is cut".to_owned()))),
                "Parquet error: x",
            ),
            (DataFusionError::Internal(secret()), "the query engine reports an internal error"),
            (DataFusionError::External(secret().into()), "the query engine reports an internal error"),
            (DataFusionError::ResourcesExhausted("3 MB are left".to_owned()), "3 MB are left"),
            (DataFusionError::Context(secret(), Box::new(DataFusionError::Execution(secret()))), function),
        ] {
            let seen = Error::running(&error, || "t.a to Int64".to_owned()).to_string();
            assert!(seen.starts_with(&format!("the query failed: {words}")) && !seen.contains("salary"), "{seen}");
            let planned = Error::planning(&error).to_string();
            // No file is read before a query runs.
            let is_computed = matches!(root(&error), DataFusionError::ArrowError(..) | DataFusionError::Execution(_));
            assert!(!is_computed || !planned.contains("salary"), "{planned}");
        }
    }
}
