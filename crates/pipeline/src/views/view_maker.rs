//! What computes the rows of a view: functions of the caller's, who has an engine for SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::{Table, Week};
use copilot_lake_writer::Lake;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// Why rows of a view could not be computed. Where another tool removed a file in the meantime: the lake's error that says so.
pub type ViewError = Box<dyn std::error::Error + Send + Sync>;

/// The stale parts of a view, one after the other. An error ends them.
pub type ViewParts = BoxStream<'static, Result<ViewPart, ViewError>>;

/// What some of the stale weeks of a view lack. Weeks in which no row has changed that it is made from come before
/// the others: who stops in between makes them once more.
pub struct ViewPart {
    /// The weeks of which nothing else is lacking; none in a view without weeks. There may be rows of weeks of later parts, too.
    pub weeks: BTreeSet<Week>,
    /// Whether no other part follows.
    pub is_last: bool,
    /// Their rows. An error ends them.
    pub batches: BoxStream<'static, Result<ViewBatch, ViewError>>,
}

/// Some rows of a view.
pub struct ViewBatch {
    /// The week of the rows; `None` in a view without weeks.
    pub week: Option<Week>,
    /// Rows with exactly the table's schema; `extracted_at` is null.
    pub rows: RecordBatch,
    /// The keys of stored rows that the view no longer has.
    pub removed: RecordBatch,
}

/// The weeks, by table, whose rows are others than when a view was made; under the view's own name those of which stored
/// rows may be lost.
pub type ChangedWeeks = BTreeMap<&'static str, BTreeSet<Week>>;

/// A fingerprint of what makes a view: rows that were made by another definition are stale.
pub type ViewDefinition = fn(&'static Table) -> u64;

type MakeView =
    dyn Fn(Lake, &'static Table, ChangedWeeks) -> BoxFuture<'static, Result<ViewParts, ViewError>> + Send + Sync;

/// Computes what a materialized view lacks.
#[derive(Clone)]
pub struct ViewMaker {
    definition: ViewDefinition,
    make: Arc<MakeView>,
}

impl ViewMaker {
    /// One that calls this function, which makes views of this definition.
    pub fn new(
        definition: ViewDefinition,
        make: impl Fn(Lake, &'static Table, ChangedWeeks) -> BoxFuture<'static, Result<ViewParts, ViewError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { definition, make: Arc::new(make) }
    }

    /// The definition of the views that it makes.
    pub fn definition(&self) -> ViewDefinition {
        self.definition
    }

    /// What a view lacks after these changes.
    pub(crate) async fn make(
        &self,
        lake: Lake,
        view: &'static Table,
        changed: ChangedWeeks,
    ) -> Result<ViewParts, ViewError> {
        (self.make)(lake, view, changed).await
    }
}

impl fmt::Debug for ViewMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewMaker")
    }
}
