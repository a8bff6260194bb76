//! Slices: what one walk over pages asks for.

use copilot_lake_tables::{Instant, Table};

/// A table, a scope and a half-open window `[start, end)` of one of its clocks.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The table whose rows are asked for.
    pub table: &'static Table,
    /// A user of Graph; empty for Dataverse.
    pub scope: String,
    /// The column that the window is about: `createdon` or `modifiedon`.
    pub time_column: &'static str,
    /// The first instant inside; whole seconds, as the service's filters can express.
    pub start: Instant,
    /// The first instant after it; whole seconds.
    pub end: Instant,
}
