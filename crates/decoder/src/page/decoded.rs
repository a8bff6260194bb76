//! The result of decoding a page.

use arrow::array::RecordBatch;
use copilot_lake_tables::Week;

use crate::Reject;

/// The decoded rows of a page.
#[derive(Debug, Default)]
pub struct Decoded {
    /// One batch per week, in the table's layout, rows in the order received. Tables without weeks have one batch of
    /// [`Week::UNKNOWN`].
    pub batches: Vec<(Week, RecordBatch)>,
    /// Values that did not fit.
    pub rejects: Vec<Reject>,
    /// Rows received.
    pub rows: u64,
    /// A choice code has no label, neither in the catalogue nor in the labels passed in: those may be out of date.
    pub unlabelled: bool,
}
