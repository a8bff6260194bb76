//! What makes the materialized views of a run: the queries, where this program has them.

use copilot_lake_pipeline::ViewMaker;

use crate::config::{Config, settings};

/// What makes the views in a run with this configuration; `None`: they stay as they are.
pub(crate) fn view_maker(config: &Config) -> Option<ViewMaker> {
    if settings::views(config) { made_by_queries() } else { None }
}

/// Makes views by their shipped SQL.
#[cfg(feature = "query")]
fn made_by_queries() -> Option<ViewMaker> {
    use copilot_lake_pipeline::{ViewBatch, ViewError, ViewPart};
    use copilot_lake_query::{Error as QueryError, FreshBatch, FreshPart, fresh_parts, view_definition};
    use copilot_lake_writer::{Error as LakeError, Lake};
    use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

    /// That a file is missing, if so, in the lake's words: it knows whether another tool removed it.
    async fn of_lake(lake: Lake, error: QueryError) -> ViewError {
        let QueryError::FileMissing { path, .. } = &error else { return error.into() };
        let table = path.rsplit('/').find_map(copilot_lake_tables::table);
        match table {
            Some(table) if lake.is_removed(path).await.unwrap_or(false) => {
                LakeError::FileRemoved { table: table.name, path: path.clone() }.into()
            }
            _ => error.into(),
        }
    }

    Some(ViewMaker::new(view_definition, |lake, view, changed| {
        let making = async move {
            let parts = match fresh_parts(&lake, view, &changed).await {
                Ok(parts) => parts,
                Err(error) => return Err(of_lake(lake, error).await),
            };
            let batch = |FreshBatch { week, rows, removed }| ViewBatch { week, rows, removed };
            let of_parts = lake.clone();
            let part = move |FreshPart { weeks, is_last, batches }| {
                let lake = lake.clone();
                let batches = batches.map_ok(batch).or_else(move |error| of_lake(lake.clone(), error).map(Err));
                ViewPart { weeks, is_last, batches: batches.boxed() }
            };
            Ok(parts.map_ok(part).or_else(move |error| of_lake(of_parts.clone(), error).map(Err)).boxed())
        };
        making.boxed()
    }))
}

/// Without queries, views stay as they are.
#[cfg(not(feature = "query"))]
fn made_by_queries() -> Option<ViewMaker> {
    None
}
