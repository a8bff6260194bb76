//! Files on their way into `payload`.

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
    /// The File.
    pub file_id: String,
    /// The File's name, by the row.
    pub file_name: Option<String>,
    /// The row's `row_time`: a payload lies in its row's week.
    pub row_time: Instant,
    /// The charset that is documented for it: [`Charset::of`].
    pub documented: Charset,
}

/// What fetching a File gave.
#[derive(Debug, Clone)]
pub enum Fetched<B> {
    /// Its bytes, and its name by the service.
    Bytes(B, Option<String>),
    /// The same, and the size that the service declares, which is not theirs.
    OtherSize(B, Option<String>, u64),
    /// The service has no such File.
    Missing,
    /// It is larger than the service allows such a File to be.
    TooLarge(u64),
    /// It was tried and not got, for this reason.
    Failed(String),
}

impl<B> Fetched<B> {
    /// The bytes that were got, if any were.
    pub fn bytes(&self) -> Option<&B> {
        match self {
            Self::Bytes(bytes, _) | Self::OtherSize(bytes, ..) => Some(bytes),
            Self::Missing | Self::TooLarge(_) | Self::Failed(_) => None,
        }
    }
}

/// A File on its way into `payload`.
#[derive(Debug, Clone)]
pub struct RawPayload<B> {
    /// The row that names it.
    pub row: SourceRow,
    /// What fetching it gave.
    pub fetched: Fetched<B>,
}
