//! What can go wrong with a lake, by what the caller does next.

use ::parquet::errors::ParquetError;
use arrow::error::ArrowError;
use deltalake::DeltaTableError;

use crate::log_failure::log_in_words;
use crate::system_failure::{SystemFailure, in_words};

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run holds the lock of the lake: stop, or wait for it.
    #[error("another run holds the lake: {run_id}, since {since}")]
    Held {
        /// The run that holds it, as it named itself.
        run_id: String,
        /// When it began, as text.
        since: String,
    },
    /// Another run took over the lock of the lake, because this one did not renew it: stop.
    #[error(
        "another run has taken over the lake: {run_id}, since {since}; this one was paused or cut off for too long"
    )]
    LeaseLost {
        /// The run that holds it, as it named itself.
        run_id: String,
        /// When it began, as text.
        since: String,
    },
    /// The store cannot keep two writers apart.
    #[error(
        "the store replaces what must not be replaced: it ignores conditional requests, so two runs could lose rows"
    )]
    NoConditionalPut,
    /// The lake mirrors another source instance: use another lake.
    #[error("the lake belongs to {what} {lake}, not to {configured}")]
    OtherInstance {
        /// `organization` or `tenant`.
        what: &'static str,
        /// The instance that the lake mirrors.
        lake: String,
        /// The instance of this run.
        configured: String,
    },
    /// A newer program made the lake: update this one.
    #[error("table {table} has schema version {lake}, this program knows {known}")]
    NewerLake {
        /// The table.
        table: &'static str,
        /// Its schema version.
        lake: u32,
        /// The newest schema version that this program knows.
        known: u32,
    },
    /// Another tool raised the protocol or changed the schema of the table: it can be read, but not written.
    #[error("table {table} was changed by another tool: {reason}")]
    RaisedProtocol {
        /// The table.
        table: &'static str,
        /// What it requires now.
        reason: String,
    },
    /// Another tool enabled a feature that readers must support: the table can be neither read nor written.
    #[error("table {table} cannot be read: another tool changed it, readers must support {}", .features.join(", "))]
    UnknownFeatures {
        /// The table.
        table: &'static str,
        /// The features, as Delta Lake names them.
        features: Vec<String>,
    },
    /// The folder of the table holds files but no log: they are not the lake's, and nothing is written there.
    #[error("the folder {folder} holds {file} and no Delta log: it is not table {table} of a lake, and stays as it is")]
    NotATable {
        /// The table.
        table: &'static str,
        /// Its folder.
        folder: String,
        /// One of the files.
        file: String,
    },
    /// The table, or files that its log names, are missing: nothing is written to it until it is repaired.
    #[error("table {table} is damaged: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is missing.
        what: String,
    },
    /// A data file is not there. The newest version does not name it: another tool or run removed it after the snapshot
    /// was read, and reading the table again succeeds.
    #[error("table {table}: another tool removed {path} while it was read")]
    FileRemoved {
        /// The table.
        table: &'static str,
        /// The file, within the lake.
        path: String,
    },
    /// Another tool kept committing to the table: try the slice again later.
    #[error("table {table}: another tool committed first in each of {attempts} attempts")]
    Contended {
        /// The table.
        table: &'static str,
        /// Commit attempts that lost the race.
        attempts: usize,
    },
    /// The store neither confirmed nor rejected a commit: the next run learns from the log whether it succeeded.
    #[error("table {table}: it is not known whether the commit succeeded: {reason}")]
    CommitUnknown {
        /// The table.
        table: &'static str,
        /// What the store said.
        reason: String,
    },
    /// The URL's scheme or shape is not supported.
    #[error("no lake can be opened at {url}: {reason}")]
    Unsupported {
        /// The URL, or the path.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The store failed: disk full, no permission, network. Nothing was committed; the slice may be retried.
    #[error("cannot {action}: {}", in_words(.cause))]
    Store {
        /// What was tried, with the path.
        action: String,
        /// The store's reason.
        cause: object_store::Error,
    },
    /// The file system failed, or a file of the archive is truncated.
    #[error("cannot {action}: {}", in_words(.source))]
    File {
        /// What was tried, with the path.
        action: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The table's log cannot be read or written.
    #[error("the log of table {table} cannot be used: {}", log_in_words(.cause))]
    Log {
        /// The table.
        table: &'static str,
        /// The reason.
        cause: Box<DeltaTableError>,
    },
    /// A data file cannot be read or written.
    #[error("data file {path}: {}", in_words(.cause))]
    Parquet {
        /// The file, within the lake.
        path: String,
        /// The reason.
        cause: ParquetError,
    },
    /// Rows that do not have the table's schema, or other misuse by the caller.
    #[error("invalid rows for table {table}: {source}")]
    Rows {
        /// The table.
        table: &'static str,
        /// The reason.
        #[source]
        source: ArrowError,
    },
    /// The work on a table was cut short; the slice may be retried.
    #[error("writing to table {table} was interrupted: {reason}")]
    Interrupted {
        /// The table.
        table: &'static str,
        /// The reason.
        reason: String,
    },
}

/// What makes a lake, or a table of it, usable again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The system must be able to do what it refused.
    OfSystem(SystemFailure),
    /// Missing rows are read again.
    Repair,
    /// Deletion vectors are disabled and purged by the tool that made them.
    PurgeDeletionVectors,
    /// What another tool did is undone, or the folder is moved away and the table is created again.
    Recreate,
    /// The log is restored, or the folder is moved away and the table is created again.
    RestoreLog,
    /// The damaged file is moved away, and its rows are read again.
    ReplaceFile,
    /// Files that are not the lake's are moved away.
    MoveAway,
}

impl Error {
    /// The table that cannot be written, when the others can.
    pub fn stops_table(&self) -> Option<&'static str> {
        match self {
            Self::RaisedProtocol { table, .. }
            | Self::UnknownFeatures { table, .. }
            | Self::NotATable { table, .. }
            | Self::Damaged { table, .. } => Some(table),
            _ => None,
        }
    }

    /// The remedy, where a person has to do something about the lake or the machine first.
    pub fn remedy(&self) -> Option<Remedy> {
        if let Some(failure) = self.system_failure() {
            return Some(Remedy::OfSystem(failure));
        }
        match self {
            Self::UnknownFeatures { features, .. } if features.iter().any(|feature| feature == "deletionVectors") => {
                Some(Remedy::PurgeDeletionVectors)
            }
            Self::RaisedProtocol { .. } | Self::UnknownFeatures { .. } => Some(Remedy::Recreate),
            Self::Log { .. } => Some(Remedy::RestoreLog),
            Self::Parquet { .. } => Some(Remedy::ReplaceFile),
            Self::NotATable { .. } => Some(Remedy::MoveAway),
            Self::Damaged { .. } => Some(Remedy::Repair),
            _ => None,
        }
    }

    /// What the operating system refused, if that is the cause.
    fn system_failure(&self) -> Option<SystemFailure> {
        match self {
            Self::Store { cause, .. } => SystemFailure::of(cause),
            Self::Log { cause, .. } => SystemFailure::of(&**cause),
            Self::Parquet { cause, .. } => SystemFailure::of(cause),
            error => SystemFailure::of(error),
        }
    }

    /// Whether the error is transient: this commit changed nothing, and the rest of the run can go on.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Contended { .. } | Self::Interrupted { .. } | Self::FileRemoved { .. })
    }

    pub(crate) fn store(action: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let action = action.into();
        move |cause| Self::Store { action, cause }
    }

    pub(crate) fn file(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::File { action, source }
    }

    pub(crate) fn log(table: &'static str) -> impl Fn(DeltaTableError) -> Self {
        move |cause| Self::Log { table, cause: Box::new(cause) }
    }

    /// The error of a data file. Where it is missing, only the newest version of its table tells whether it is lost.
    pub(crate) fn parquet(path: &object_store::path::Path) -> impl Fn(ParquetError) -> Self + use<> {
        let path = path.to_string();
        move |cause| {
            let table =
                path.split('/').next().and_then(copilot_lake_tables::table).filter(|_| missing_file(&cause).is_some());
            match table {
                Some(table) => Self::FileRemoved { table: table.name, path: path.clone() },
                None => Self::Parquet { path: path.clone(), cause },
            }
        }
    }

    pub(crate) fn rows(table: &'static str) -> impl Fn(ArrowError) -> Self {
        move |source| Self::Rows { table, source }
    }
}

/// The path of the file of a store that is missing, if that is the cause.
pub fn missing_file<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(object_store::Error::NotFound { path, .. }) = error.downcast_ref() {
            return Some(path);
        }
        next = match error.downcast_ref() {
            Some(ParquetError::External(inner)) => Some(inner.as_ref()),
            _ => error.source(),
        };
    }
    None
}
