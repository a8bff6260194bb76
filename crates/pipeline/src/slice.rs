//! One slice: pages from the service, kept for replay where wanted, and into the lake.

use copilot_lake_extractor::{Error as ServiceError, Selection, Slice};
use copilot_lake_writer::MergeMode;
use futures::TryStreamExt as _;

use crate::archive::PageArchive;
use crate::event::Event;
use crate::ingest::{Counts, Ingest, NotDone};
use crate::spine::DataverseSpine;

/// Reads a slice and commits it; says what was asked for. Counts hold what happened even when it fails.
pub(crate) async fn run(
    slice: &Slice,
    spine: &DataverseSpine<'_>,
    counts: &mut Counts,
) -> (Selection, Result<(), NotDone>) {
    let table = slice.table;
    loop {
        let selection = spine.schema.selection(table).unwrap_or_else(|| Selection::all(table));
        match read(slice, &selection, spine, counts).await {
            // The metadata listed it, or was not to be had: the rows come without it.
            Err(NotDone::Service(ServiceError::ColumnMissing { column, .. }))
                if spine.schema.forget(table, &column, &selection) => {}
            result => return (selection, result),
        }
    }
}

async fn read(
    slice: &Slice,
    selection: &Selection,
    spine: &DataverseSpine<'_>,
    counts: &mut Counts,
) -> Result<(), NotDone> {
    let (table, service) = (slice.table, &spine.service);
    let as_of = service.service_time().await?;
    counts.as_of = Some(as_of);
    let archive = PageArchive::begin(spine, slice, selection, as_of);
    let kept = archive.as_ref();
    let pages = service.pages(slice, selection).map_err(NotDone::Service).and_then(|page| async move {
        let extracted_at = service.service_time().await?;
        if let Some(archive) = kept {
            archive.page(page.number, &page.body, extracted_at).await?;
        }
        Ok((page, extracted_at))
    });
    let ingest = Ingest {
        table,
        find: MergeMode::Upsert,
        lake: &spine.lake,
        run_id: &spine.run_id,
        rejects: &spine.rejects,
        labels: &spine.labels,
        coverage: spine.schema.coverage(table, selection),
        named: &spine.named,
        only: None,
        stop: &spine.halt.stop(),
    };
    let each = |rows, throttled_seconds| {
        (spine.observe)(&Event::Page { table: table.name, rows, throttled_seconds });
    };
    let ready = ingest.read(pages, counts, each).await?;
    // Before the commit: what the lake has can be replayed.
    if let Some(archive) = archive {
        archive.finish(spine, table, &[], counts).await?;
    }
    ready.commit(&spine.run_id, counts).await
}
