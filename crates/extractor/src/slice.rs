//! Slices: what one page stream covers.

use copilot_lake_tables::{Instant, Table};

/// A table, a scope and a half-open window `[start, end)` of one of its time columns.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The table whose rows are requested.
    pub table: &'static Table,
    /// A Graph user; empty for Dataverse.
    pub scope: String,
    /// The column that the window applies to: `createdon` or `modifiedon`.
    pub time_column: &'static str,
    /// The first instant inside the window; whole seconds, as the service's filters require.
    pub start: Instant,
    /// The first instant after the window; whole seconds.
    pub end: Instant,
}
