//! What can go wrong with a lake, split by what the caller does next.

use arrow::error::ArrowError;
use deltalake::DeltaTableError;
use parquet::errors::ParquetError;

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run writes to the lake: stop, or wait for it.
    #[error("another run holds the lake: {run_id}, since {since}")]
    Held {
        /// The run that holds it, as it named itself.
        run_id: String,
        /// When it began, as text; empty when that cannot be read.
        since: String,
    },
    /// The lake mirrors another source instance: use another lake.
    #[error("the lake belongs to {what} {lake}, not to {asked}")]
    OtherInstance {
        /// `organization` or `tenant`.
        what: &'static str,
        /// The instance that the lake mirrors.
        lake: String,
        /// The instance of this run.
        asked: String,
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
    /// Another tool raised the protocol or changed the shape of the table: nothing more can be written to it.
    #[error("table {table} was changed by another tool: {reason}")]
    RaisedProtocol {
        /// The table.
        table: &'static str,
        /// What it demands now.
        reason: String,
    },
    /// Another tool kept committing to the table: try the slice again later.
    #[error("table {table}: commits of another tool kept coming first, {attempts} times")]
    Contended {
        /// The table.
        table: &'static str,
        /// How many commits were lost.
        attempts: usize,
    },
    /// The store did not say whether a commit was taken: the next run finds out.
    #[error("table {table}: it is not known whether the commit was taken: {reason}")]
    Doubtful {
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
    /// The store refused: disk full, no permission, network. Nothing was committed; the slice may be tried again.
    #[error("cannot {action}: {source}")]
    Store {
        /// What was tried, with the path.
        action: String,
        /// The store's reason.
        #[source]
        source: object_store::Error,
    },
    /// The file system refused, or a file of the archive is cut.
    #[error("cannot {action}: {source}")]
    File {
        /// What was tried, with the path.
        action: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The table's log cannot be read or written.
    #[error("the log of table {table}: {source}")]
    Log {
        /// The table.
        table: &'static str,
        /// The reason.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A data file cannot be read or written.
    #[error("data file {path}: {source}")]
    Parquet {
        /// The file, within the lake.
        path: String,
        /// The reason.
        #[source]
        source: ParquetError,
    },
    /// Rows that do not have the table's schema, or other misuse by the calling program.
    #[error("rows of table {table} do not fit: {source}")]
    Rows {
        /// The table.
        table: &'static str,
        /// The reason.
        #[source]
        source: ArrowError,
    },
    /// The work on a table ended before it was done; the slice may be tried again.
    #[error("writing to table {table} was interrupted: {reason}")]
    Interrupted {
        /// The table.
        table: &'static str,
        /// The reason.
        reason: String,
    },
}

impl Error {
    /// Whether only this commit failed: nothing was changed, and the rest of the run can go on.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Contended { .. } | Self::Interrupted { .. })
    }

    pub(crate) fn store(action: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let action = action.into();
        move |source| Self::Store { action, source }
    }

    pub(crate) fn file(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::File { action, source }
    }

    pub(crate) fn log(table: &'static str) -> impl Fn(DeltaTableError) -> Self {
        move |source| Self::Log { table, source: Box::new(source) }
    }

    pub(crate) fn parquet(path: &object_store::path::Path) -> impl Fn(ParquetError) -> Self + use<> {
        let path = path.to_string();
        move |source| Self::Parquet { path: path.clone(), source }
    }

    pub(crate) fn rows(table: &'static str) -> impl Fn(ArrowError) -> Self {
        move |source| Self::Rows { table, source }
    }
}
