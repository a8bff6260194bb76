//! Errors of queries.

use std::sync::Arc;

use arrow::error::ArrowError;
use copilot_lake_writer::{Remedy, SystemFailure, missing_file, store_failure_in_words};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

use crate::fallible::FallibleParts;
use crate::value_failure::ValueFailure;
#[cfg(feature = "workers")]
use crate::workers::failure::{FailureKind, WorkerFailure};

/// Why a query failed, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text or a parameter is wrong: it cannot be planned, or a value in it is invalid. Correct the query.
    #[error("the query cannot be run: {0}")]
    Question(String),
    /// The text names a column that no table of it has. Correct the name.
    #[error("the query cannot be run: no column {name}")]
    ColumnNotFound {
        /// The name as the text has it.
        name: String,
        /// The columns that could stand there, with their tables.
        known: Vec<String>,
        /// Whether the text has it in double quotes: it may be meant as a text.
        is_quoted: bool,
    },
    /// The text names a function that there is not. Correct the name.
    #[error("the query cannot be run: no function {name}")]
    FunctionNotFound {
        /// The name as the text has it.
        name: String,
        /// The functions that there are.
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
    /// A file that the log named when the session was opened is missing: it is lost, or it was removed since, and a new
    /// session does not need it.
    #[error("the query failed: {reason}")]
    FileMissing {
        /// The file; its path may begin outside the lake.
        path: String,
        /// What the store says.
        reason: String,
    },
    /// Sorting or grouping needs more memory than a query may use.
    #[error("the query failed: {0}")]
    OutOfMemory(String),
    /// Computing failed while the query ran.
    #[error("the query failed: {0}")]
    Run(String),
    /// A worker cannot be reached, or failed, and no other did its work.
    #[cfg(feature = "workers")]
    #[error("the worker {url} failed: {reason}")]
    WorkerFailed {
        /// Which one.
        url: String,
        /// What is known of it.
        reason: String,
    },
    /// A worker wants another token.
    #[cfg(feature = "workers")]
    #[error("the worker {url} refuses the query: {reason}")]
    WorkerRefused {
        /// Which one.
        url: String,
        /// What it says.
        reason: String,
    },
    /// A worker is of another version, or serves another lake.
    #[cfg(feature = "workers")]
    #[error("the worker {url} refuses the query: {reason}")]
    WorkerUnfit {
        /// Which one.
        url: String,
        /// What it says.
        reason: String,
    },
    /// An address, a token or a certificate of workers cannot be used.
    #[cfg(feature = "workers")]
    #[error("{0}")]
    WorkerSetting(String),
}

#[cfg(feature = "workers")]
impl From<WorkerFailure> for Error {
    fn from(failure: WorkerFailure) -> Self {
        let WorkerFailure { kind, url, reason } = failure;
        match kind {
            FailureKind::Failed => Self::WorkerFailed { url, reason },
            FailureKind::Refused => Self::WorkerRefused { url, reason },
            FailureKind::Unfit => Self::WorkerUnfit { url, reason },
        }
    }
}

/// Whether an error is about one table, which cannot be read; others can.
pub(crate) fn is_of_table(error: &copilot_lake_writer::Error) -> bool {
    error.stops_table().is_some() || matches!(error, copilot_lake_writer::Error::Log { .. })
}

impl Error {
    /// A token that no request can carry.
    #[cfg(feature = "workers")]
    pub(crate) fn invalid_token() -> Self {
        Self::WorkerSetting("the token of the workers has characters that no header can have".to_owned())
    }

    /// An error from before the first file is read. `parts` are those of the query that can fail.
    pub(crate) fn planning(error: &DataFusionError, parts: impl FnOnce() -> FallibleParts) -> Self {
        Self::of_table(error).unwrap_or_else(|| Self::of_text(error, parts))
    }

    /// An error from making a plan of a text, before anything is computed. What a function needs is said in its own
    /// words, but for what they quote.
    pub(crate) fn parsing(error: &DataFusionError) -> Self {
        match root(error) {
            DataFusionError::Execution(_) => Self::Question(unquoted(&text(error))),
            _ => Self::planning(error, FallibleParts::default),
        }
    }

    /// The error with what is known of a name where the text is at hand, and the names of functions.
    pub(crate) fn in_text(self, sql: &str, functions: impl FnOnce() -> Vec<String>) -> Self {
        match self {
            Self::ColumnNotFound { name, known, .. } => {
                let is_quoted = sql.contains(&format!("\"{name}\""));
                Self::ColumnNotFound { name, known, is_quoted }
            }
            Self::FunctionNotFound { name, .. } => Self::FunctionNotFound { name, known: functions() },
            error => error,
        }
    }

    /// What is wrong with the text.
    fn of_text(error: &DataFusionError, parts: impl FnOnce() -> FallibleParts) -> Self {
        match root(error) {
            DataFusionError::SchemaError(of, _) => match of.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => Self::ColumnNotFound {
                    name: field.flat_name(),
                    known: valid_fields.iter().map(|column| column.flat_name()).collect(),
                    is_quoted: false,
                },
                _ => Self::Question(text(error)),
            },
            DataFusionError::Plan(message) if unknown_table(message).is_some() => {
                Self::TableNotFound { name: unknown_table(message).unwrap_or_default().to_owned() }
            }
            DataFusionError::Plan(message) if unknown_function(message).is_some() => Self::FunctionNotFound {
                name: unknown_function(message).unwrap_or_default().to_owned(),
                known: Vec::new(),
            },
            // Constants are computed while a query is planned.
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Self::Question(failure(error, parts).0),
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
    /// text of a library may quote a value, which is somebody's. `parts` are those of the query that can fail.
    pub(crate) fn running(error: &DataFusionError, parts: impl FnOnce() -> FallibleParts) -> Self {
        if let Some(error) = Self::of_table(error) {
            return error;
        }
        #[cfg(feature = "workers")]
        if let Some(failure) = WorkerFailure::in_error(error) {
            return failure.into();
        }
        match root(error) {
            DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::SQL(..)
            | DataFusionError::NotImplemented(_) => Self::of_text(error, parts),
            root => {
                let is_out_of_memory = matches!(root, DataFusionError::ResourcesExhausted(_));
                let (remedy, (reason, origin)) = (remedy(error), failure(error, parts));
                if let Some(path) = missing_file(error).or_else(|| file_without_metadata(root)) {
                    return Self::FileMissing { path: path.to_owned(), reason };
                }
                match remedy {
                    _ if is_out_of_memory => Self::OutOfMemory(reason),
                    Some(_) => Self::Table { reason: format!("the query failed: {reason}"), remedy },
                    None if origin == FailureOrigin::Text => Self::Question(reason),
                    None => Self::Run(reason),
                }
            }
        }
    }
}

/// Where the value comes from that a query fails for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureOrigin {
    /// The query's own text: nothing in it that can fail reads a column.
    Text,
    /// A table, or it is no value that fails.
    Lake,
}

/// What helps if a file or the system is to blame.
fn remedy(error: &DataFusionError) -> Option<Remedy> {
    if let Some(failure) = SystemFailure::of(error) {
        return Some(Remedy::OfSystem(failure));
    }
    match root(error) {
        error @ DataFusionError::ParquetError(cause) if names_a_file(cause) && ValueFailure::of(error).is_none() => {
            Some(Remedy::ReplaceFile)
        }
        DataFusionError::ObjectStore(_) => Some(Remedy::ReplaceFile),
        _ => None,
    }
}

/// The path of a missing file whose metadata was asked for: DataFusion hands on that error as text.
fn file_without_metadata(root: &DataFusionError) -> Option<&str> {
    let DataFusionError::ParquetError(cause) = root else { return None };
    let ParquetError::General(message) = cause.as_ref() else { return None };
    let (path, cause) = message.strip_prefix("Failed to fetch metadata for file ")?.split_once(": ")?;
    cause.contains(" not found: ").then_some(path)
}

/// The innermost error, without a note of where in the text it arose.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error.find_root() {
        DataFusionError::Diagnostic(_, inner) => inner,
        root => root,
    }
}

/// The table that DataFusion does not find, by its name in the text.
fn unknown_table(message: &str) -> Option<&str> {
    let (name, _) = message.strip_prefix("table '")?.split_once("' not found")?;
    let in_catalog = name.strip_prefix("datafusion.").unwrap_or(name);
    Some(in_catalog.strip_prefix("public.").unwrap_or(in_catalog))
}

/// The function that DataFusion does not find, by its name in the text. What it suggests instead may be far from it.
fn unknown_function(message: &str) -> Option<&str> {
    message.strip_prefix("Invalid function '")?.split_once('\'').map(|(name, _)| name)
}

/// Messages of DataFusion that speak of its interface instead of the text.
const REWORDED: [(&str, &str); 2] = [
    (
        "The context currently only supports a single SQL statement",
        "the text has several statements: run one at a time",
    ),
    ("No SQL statements were provided in the query string", "the text has no statement"),
];

/// The innermost message on one line, without the wrappers' names and back traces.
fn text(error: &DataFusionError) -> String {
    let text = root(error).message().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((_, words)) = REWORDED.iter().find(|(of_library, _)| text == *of_library) {
        return (*words).to_owned();
    }
    // Behind every signature that was tried, and a request to report an error of the library.
    const UNFIT: &str = "No function matches the given name and argument types ";
    if let Some(at) = text.rfind(UNFIT).filter(|_| text.contains("failed to match any signature")) {
        return text[at..].to_owned();
    }
    match text.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")")) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => text,
    }
}

/// A message without what it quotes.
fn unquoted(message: &str) -> String {
    let mut shown = String::new();
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let (before, quoted) = rest.split_at(at);
        let mark = &quoted[..1];
        shown.push_str(before);
        shown.push('…');
        rest = quoted[1..].split_once(mark).map_or("", |(_, after)| after);
    }
    shown + rest
}

/// What failed, without a value of any table, and where it comes from.
fn failure(error: &DataFusionError, parts: impl FnOnce() -> FallibleParts) -> (String, FailureOrigin) {
    if let Some(words) = store_failure_in_words(error) {
        return (words, FailureOrigin::Lake);
    }
    if let Some(failure) = ValueFailure::of(root(error)) {
        let parts = parts();
        let origin = if parts.is_empty() { FailureOrigin::Text } else { FailureOrigin::Lake };
        return (failure.words(&parts), origin);
    }
    let words = match root(error) {
        DataFusionError::ArrowError(cause, _) if matches!(**cause, ArrowError::MemoryError(_)) => {
            "there is not enough memory".to_owned()
        }
        DataFusionError::ParquetError(cause) if !names_a_file(cause) => "a file cannot be read".to_owned(),
        // These name files, or amounts of memory, and quote no value.
        DataFusionError::ArrowError(..)
        | DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ResourcesExhausted(_)
        | DataFusionError::Execution(_)
        | DataFusionError::NotImplemented(_) => text(error),
        DataFusionError::External(inner) if inner.is::<object_store::Error>() => text(error),
        _ => "the query engine reports an internal error".to_owned(),
    };
    (words, FailureOrigin::Lake)
}

/// Whether an error of Parquet says itself what it is about, such as which file is damaged.
fn names_a_file(error: &ParquetError) -> bool {
    match error {
        ParquetError::External(inner) => {
            let is_of_system = matches!(inner.downcast_ref(), Some(ArrowError::IoError(..)));
            is_of_system || inner.is::<object_store::Error>() || inner.is::<std::io::Error>()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
