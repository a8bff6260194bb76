//! What became of the rows of a page.

use arrow::array::RecordBatch;
use copilot_lake_tables::Week;

use crate::Reject;

/// What became of the rows of a page.
#[derive(Debug, Default)]
pub struct Decoded {
    /// One batch per week, in the table's layout; rows in the order in which they came. The rows of a table without weeks
    /// are one batch of [`Week::UNKNOWN`].
    pub batches: Vec<(Week, RecordBatch)>,
    /// Values that did not fit.
    pub rejects: Vec<Reject>,
    /// Rows received.
    pub rows: u64,
    /// A choice code has a label neither in the catalogue nor in the labels given: they may be out of date.
    pub unlabelled: bool,
}
