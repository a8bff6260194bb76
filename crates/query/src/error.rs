//! What can go wrong when a question is asked of the lake.

use std::sync::Arc;

use copilot_lake_writer::Remedy;
use datafusion::error::DataFusionError;

/// Why a question got no answer, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text or a parameter is wrong: it cannot be planned, or a value in it cannot be read. Correct the question.
    #[error("the query cannot be run: {0}")]
    Question(String),
    /// The lake could not be opened, or its log could not be read.
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
    /// A table that the question is about cannot be read; others can.
    #[error("{reason}")]
    Table {
        /// Which one, and why.
        reason: String,
        /// What helps.
        remedy: Option<Remedy>,
    },
    /// Reading or computing failed while the answer was made: a file is gone or damaged, or memory ran out.
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
        Self::of_table(error).unwrap_or_else(|| Self::Question(text(error)))
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

    /// An error from the run. Whose fault it is shows only in its kind.
    pub(crate) fn running(error: &DataFusionError) -> Self {
        if let Some(error) = Self::of_table(error) {
            return error;
        }
        match error.find_root() {
            DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
                Self::Question(text(error))
            }
            _ => Self::Run(text(error)),
        }
    }
}

/// The innermost message on one line, without the wrappers' names and back traces.
fn text(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::Diagnostic(_, inner) => inner.message().into_owned(),
        root => root.message().into_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
