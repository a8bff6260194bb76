//! One slice: pages from the service, archived where wanted, and written to the lake.

use copilot_lake_extractor::{Error as ServiceError, Selection, Slice};
use copilot_lake_writer::MergeMode;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::dataverse::context::DataverseContext;
use crate::dataverse::ingest::Ingest;
use crate::event::Event;
use crate::ledger::slice_row::SliceCounts;
use crate::replay::archive::PageArchive;
use crate::run::context::window_text;
use crate::slice_error::SliceError;

/// Reads a slice and commits it. Returns the selection that was requested; the counts hold what happened even on
/// failure. `has_failed_before`: its window, or a larger one around it.
pub(crate) async fn read_slice(
    slice: &Slice,
    context: &DataverseContext<'_>,
    has_failed_before: bool,
    counts: &mut SliceCounts,
) -> (Selection, Result<(), SliceError>) {
    let table = slice.table;
    loop {
        let selection = context.schema.selection(table).unwrap_or_else(|| Selection::all(table));
        let result = read_once(slice, (&selection, has_failed_before), context, counts).await;
        if let Err(SliceError::Service(error)) = &result {
            counts.requests += error.call().map_or(0, |call| u64::from(call.attempts));
        }
        match result {
            // The metadata listed the column, or could not be read: the rows come without it.
            Err(SliceError::Service(ServiceError::ColumnMissing { column, .. }))
                if context.schema.forget(table, &column, &selection) => {}
            result => return (selection, result),
        }
    }
}

async fn read_once(
    slice: &Slice,
    (selection, has_failed_before): (&Selection, bool),
    context: &DataverseContext<'_>,
    counts: &mut SliceCounts,
) -> Result<(), SliceError> {
    let (table, service) = (slice.table, &context.service);
    let as_of = service.service_time().await?;
    counts.as_of = Some(as_of);
    let archive = PageArchive::begin(context.run, slice, selection, as_of);
    let kept = archive.as_ref();
    let pages = match has_failed_before {
        true => service.pages_again(slice, selection).left_stream(),
        false => service.pages(slice, selection).right_stream(),
    };
    let pages = pages.map_err(SliceError::from).and_then(|page| async move {
        let extracted_at = service.service_time().await?;
        if let Some(archive) = kept {
            archive.push_page(page.number, &page.body, extracted_at).await?;
        }
        Ok((page, extracted_at))
    });
    let ingest = Ingest {
        table,
        mode: MergeMode::Upsert,
        lake: &context.run.lake,
        run_id: &context.run.run_id,
        rejects: &context.run.rejects,
        labels: &context.labels,
        coverage: context.schema.coverage(table, selection),
        named: Some(&context.named),
        only: None,
        stop: &context.run.shutdown.subscribe(),
    };
    let each = |rows, throttled_seconds| {
        (context.run.observe)(&Event::Page { table: table.name, rows, throttled_seconds });
    };
    let ready = ingest.read(pages, counts, each).await?;
    // Before the commit: whatever is in the lake can be replayed.
    if let Some(archive) = archive {
        archive.finish(context, table, &[], counts).await?;
    }
    let commit = ready.commit(&context.run.run_id, counts);
    context.run.commit(table.name, window_text(slice), commit).await
}
