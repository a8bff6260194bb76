//! Fetched Files, before they are decoded.

use copilot_lake_tables::Instant;

use super::charset::Charset;

/// The row that names a File.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its table.
    pub table: &'static str,
    /// Its own id.
    pub id: String,
    /// Its partition; empty outside the elastic table.
    pub partition_id: String,
    /// The File column.
    pub column: &'static str,
    /// The id of the File.
    pub file_id: String,
    /// The File's name according to the row.
    pub file_name: Option<String>,
    /// The row's `row_time`: a payload belongs to its row's week.
    pub row_time: Instant,
    /// The documented charset: [`Charset::documented_for`].
    pub documented: Charset,
}

/// The result of fetching a File.
#[derive(Debug, Clone)]
pub enum Fetched<B> {
    /// Its bytes, and its name according to the service.
    Bytes(B, Option<String>),
    /// The same, with the size that the service declares, which differs.
    SizeMismatch(B, Option<String>, u64),
    /// The service has no such File.
    Missing,
    /// It exceeds the size that the service allows.
    TooLarge(u64),
    /// It could not be fetched, for this reason.
    Failed(String),
}

impl<B> Fetched<B> {
    /// The bytes, if there are any.
    pub fn bytes(&self) -> Option<&B> {
        match self {
            Self::Bytes(bytes, _) | Self::SizeMismatch(bytes, ..) => Some(bytes),
            Self::Missing | Self::TooLarge(_) | Self::Failed(_) => None,
        }
    }
}

/// A File to be decoded into `payload`.
#[derive(Debug, Clone)]
pub struct RawPayload<B> {
    /// The row that names it.
    pub row: SourceRow,
    /// The result of fetching it.
    pub fetched: Fetched<B>,
}
