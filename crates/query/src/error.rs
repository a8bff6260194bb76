//! Errors of queries.

use std::sync::Arc;

use copilot_lake_writer::Remedy;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

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
    /// Reading or computing failed while the query ran: a file is gone or damaged, or memory ran out.
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

    /// An error from running the query. Only its kind tells a wrong query from a failure.
    pub(crate) fn running(error: &DataFusionError) -> Self {
        if let Some(error) = Self::of_table(error) {
            return error;
        }
        match root(error) {
            DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
                Self::of_text(error)
            }
            _ => Self::Run(text(error)),
        }
    }
}

/// The innermost error, without a note of where in the text it arose.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error.find_root() {
        DataFusionError::Diagnostic(_, inner) => inner,
        root => root,
    }
}

/// The innermost message on one line, without the wrappers' names and back traces.
fn text(error: &DataFusionError) -> String {
    root(error).message().split_whitespace().collect::<Vec<_>>().join(" ")
}
