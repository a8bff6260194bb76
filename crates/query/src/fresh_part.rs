//! What a materialized view lacks, as it is handed over: some weeks at a time, and of these some rows at a time.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use copilot_lake_tables::Week;
use futures::stream::BoxStream;

use crate::error::Error;

/// What some of the stale weeks of a view lack.
pub struct FreshPart {
    /// The weeks of which nothing else is lacking; none in a view without weeks, which is made as a whole. There may be rows of
    /// weeks of later parts, too.
    pub weeks: BTreeSet<Week>,
    /// Whether no other part follows.
    pub is_last: bool,
    /// Their rows. An error ends them.
    pub batches: BoxStream<'static, Result<FreshBatch, Error>>,
}

/// Some rows of a view.
pub struct FreshBatch {
    /// The week of the rows; `None` in a view without weeks.
    pub week: Option<Week>,
    /// Rows with exactly the table's schema; `extracted_at` is null.
    pub rows: RecordBatch,
    /// The keys of stored rows that the view no longer has; maybe none.
    pub removed: RecordBatch,
}
