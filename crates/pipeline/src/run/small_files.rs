//! Merging small files at the end of a run: of tables that have more of them than a reader should open.

use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, TABLES};
use copilot_lake_writer::SmallFileLimits;
use tracing::{debug, warn};

use crate::run::context::RunContext;

/// Merges the small files of tables that have too many. Which these are the logs in memory say; nothing is requested
/// for a table that has few.
pub(crate) async fn merge_small_files(context: &RunContext) {
    if context.shutdown.is_requested() {
        return;
    }
    tokio::select! {
        biased;
        () = merge(context) => {}
        () = context.shutdown.grace_period_over() => context.note_aborted().await,
    }
}

async fn merge(context: &RunContext) {
    // The ledger is compacted by rules of its own.
    let tables: Vec<_> = TABLES
        .iter()
        .copied()
        .filter(|table| ![EXTRACTION_RUN.name, EXTRACTION_SLICE.name].contains(&table.name))
        .collect();
    for table in context.written(&tables).await {
        let is_stopped = || context.shutdown.is_requested();
        let limits = SmallFileLimits::TOLERATED;
        let merging = context.lake.merge_small_files(table, limits, context.started_at, &context.run_id, &is_stopped);
        match merging.await {
            Ok(merged) if merged.is_stopped => return,
            Ok(merged) if merged.files_removed == 0 => {}
            Ok(merged) => {
                let (files, into) = (merged.files_removed, merged.files_added);
                debug!(table = table.name, files, into, "merged small files");
            }
            // They are only slower to read.
            Err(error) => warn!(table = table.name, %error, "could not merge small files"),
        }
    }
}
