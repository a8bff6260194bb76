//! What makes the materialized views of a run: the queries, where this program has them.

use copilot_lake_pipeline::ViewMaker;

/// Makes views by their shipped SQL.
#[cfg(feature = "query")]
pub(crate) fn view_maker() -> Option<ViewMaker> {
    use copilot_lake_pipeline::{ViewBatch, ViewError, ViewPart};
    use copilot_lake_query::{FreshBatch, FreshPart, fresh_parts};
    use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

    Some(ViewMaker::new(|lake, view, changed| {
        let making = async move {
            let parts = fresh_parts(&lake, view, &changed).await?;
            let batch = |FreshBatch { week, rows, removed }| ViewBatch { week, rows, removed };
            let part = move |FreshPart { weeks, is_last, batches }| ViewPart {
                weeks,
                is_last,
                batches: batches.map_ok(batch).map_err(ViewError::from).boxed(),
            };
            Ok::<_, ViewError>(parts.map_ok(part).map_err(ViewError::from).boxed())
        };
        making.boxed()
    }))
}

/// Without queries, views stay as they are.
#[cfg(not(feature = "query"))]
pub(crate) fn view_maker() -> Option<ViewMaker> {
    None
}
