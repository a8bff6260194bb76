//! The errors of a run.

use std::path::PathBuf;

use arrow::error::ArrowError;
use copilot_lake_tables::{Instant, Table};

use crate::slice_error::SliceError;

/// Why a run could not be started or finished; what fails for one slice is in the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lake could not be locked, prepared, read or written.
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
    /// The service could not be reached or refused the sign-in.
    #[error(transparent)]
    Service(#[from] copilot_lake_extractor::Error),
    /// The token for Graph lacks the permission that every history needs.
    #[error("the application permission {role} is not granted: the token does not have it")]
    RoleMissing {
        /// The permission.
        role: &'static str,
    },
    /// A batch could not be built.
    #[error(transparent)]
    Decode(#[from] copilot_lake_decoder::Error),
    /// There is nothing to replay.
    #[error("no archived slice at {}", .paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NothingArchived {
        /// The paths that were searched.
        paths: Vec<PathBuf>,
    },
    /// An archived slice cannot be replayed.
    #[error("the archive cannot be replayed: {what}")]
    Archive {
        /// Which slice, and why.
        what: String,
    },
    /// A shard of an archive does not go with what the lake has.
    #[error("{what}")]
    Shards {
        /// Why.
        what: String,
    },
    /// Not all shards of an archive are in the lake.
    #[error("of {of} shards, the lake lacks {}", .missing.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    ShardsMissing {
        /// Their numbers.
        missing: Vec<u32>,
        /// How many there are.
        of: u32,
    },
    /// The deadline, or a signal, came before anything was read.
    #[error("stopped before anything was read")]
    Stopped,
    /// The window to be read begins after the service's time, and has no end.
    #[error("the window begins at {since}, which lies ahead: it is {now} at the service")]
    WindowAhead {
        /// Its start.
        since: Instant,
        /// The service's time.
        now: Instant,
    },
    /// The window to be read is empty.
    #[error("the window from {since} to {until} is empty")]
    EmptyWindow {
        /// Its start.
        since: Instant,
        /// Its end.
        until: Instant,
    },
}

impl From<SliceError> for Error {
    fn from(error: SliceError) -> Self {
        match error {
            SliceError::Service(error) => error.into(),
            SliceError::Decode(error) => error.into(),
            SliceError::Lake(error) => error.into(),
            SliceError::Stopped => Self::Archive { what: "it was stopped".to_owned() },
        }
    }
}

impl Error {
    /// Batches of a table do not fit together, which is a bug.
    pub(crate) fn rows(table: &'static Table) -> impl Fn(ArrowError) -> Self {
        move |source| Self::Decode(copilot_lake_decoder::Error::Schema { table: table.name, source })
    }
}
