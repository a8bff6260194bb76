//! What makes the materialized views of a run: the queries, where this program has them.

use copilot_lake_pipeline::ViewMaker;

/// Makes views by their shipped SQL.
#[cfg(feature = "query")]
pub(crate) fn view_maker() -> Option<ViewMaker> {
    use copilot_lake_pipeline::{ViewBatch, ViewError, ViewRows};
    use copilot_lake_query::{FreshBatch, FreshRows, fresh_rows};
    use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

    Some(ViewMaker::new(|lake, view, changed| {
        let making = async move {
            let FreshRows { weeks, batches } = fresh_rows(&lake, view, &changed).await?;
            let batch = |FreshBatch { week, rows, removed }| ViewBatch { week, rows, removed };
            Ok::<_, ViewError>(ViewRows { weeks, batches: batches.map_ok(batch).map_err(ViewError::from).boxed() })
        };
        making.boxed()
    }))
}

/// Without queries, views stay as they are.
#[cfg(not(feature = "query"))]
pub(crate) fn view_maker() -> Option<ViewMaker> {
    None
}
