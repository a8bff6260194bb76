//! One slice: pages from the service, batches on rayon, files, one commit.

use copilot_lake_decoder::{decode_page, reject_batch};
use copilot_lake_extractor::{Dataverse, Slice};
use copilot_lake_tables::{Instant, Labels, REJECTED_RECORD};
use copilot_lake_writer::{Find, Lake};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::cpu;
use crate::event::{Event, Observer};
use crate::rejects::Rejects;
use crate::settings::Stop;

/// Pages of one slice that are decoded at the same time: other slices keep the cores busy, and each page takes memory.
const DECODED_AHEAD: usize = 1;

/// A slice to be read.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) slice: Slice,
    /// Its rows have not been read before, so that a known row is found by its time. Otherwise by its key: whatever moved
    /// is found too.
    pub(crate) is_new: bool,
}

/// What a slice received and wrote.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) as_of: Option<Instant>,
    pub(crate) pages: u64,
    pub(crate) rows: u64,
    pub(crate) rows_written: u64,
    pub(crate) files_added: u64,
    pub(crate) rejected: u64,
    pub(crate) requests: u64,
    pub(crate) throttled_seconds: f64,
}

/// Why a slice was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// The run was stopped; the slice leaves no trace.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Service(#[from] copilot_lake_extractor::Error),
    #[error(transparent)]
    Decode(#[from] copilot_lake_decoder::Error),
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
}

/// What a slice needs beside itself.
pub(crate) struct Surroundings<'a> {
    pub(crate) service: &'a Dataverse,
    pub(crate) lake: &'a Lake,
    pub(crate) run_id: &'a str,
    pub(crate) rejects: &'a Rejects,
    pub(crate) observe: &'a Observer,
    pub(crate) stop: &'a Stop,
}

/// Reads a slice and commits it: rejects first, then the rows. Counts hold what happened even when it fails.
pub(crate) async fn run(task: &Task, around: Surroundings<'_>, counts: &mut Counts) -> Result<(), NotDone> {
    let Surroundings { service, lake, run_id, rejects: known, observe, stop } = around;
    let table = task.slice.table;
    counts.as_of = Some(service.service_time().await?);
    let mut changes = lake.changes(table, if task.is_new { Find::ByTime } else { Find::ByKey });
    let mut rejects = lake.changes(&REJECTED_RECORD, Find::ByKey);

    let decoded = service.pages(&task.slice).map_err(NotDone::Service).map_ok(|page| async {
        let extracted_at = service.service_time().await?;
        let (requests, throttled) = (page.requests, page.throttled);
        let decoded = cpu::run(move || decode_page(table, page.rows(), extracted_at, &Labels::default())).await?;
        Ok((decoded, extracted_at, requests, throttled))
    });
    let mut decoded = std::pin::pin!(decoded.try_buffered(DECODED_AHEAD));
    let mut stopped = stop.clone();
    loop {
        let next = tokio::select! {
            next = decoded.next() => next,
            // A run whose stop can no longer be told goes on.
            Ok(_) = stopped.wait_for(|stop| *stop) => return Err(NotDone::Stopped),
        };
        let Some(page) = next else { break };
        let (page, extracted_at, requests, throttled) = page?;
        counts.pages += 1;
        counts.rows += page.rows;
        counts.rejected += page.rejects.len() as u64;
        counts.requests += u64::from(requests);
        counts.throttled_seconds += throttled.as_secs_f64();
        if !page.rejects.is_empty() {
            rejects.push(None, reject_batch(table, &page.rejects, run_id, extracted_at)?).await?;
        }
        for (week, batch) in page.batches {
            // What was wrong with these rows before is gone, unless it was pushed again.
            if let Some(keys) = known.of_rows(table, &batch)? {
                rejects.remove(&keys)?;
            }
            changes.push(Some(week), batch).await?;
        }
        observe(&Event::Page { table: table.name, rows: page.rows, throttled_seconds: throttled.as_secs_f64() });
    }
    rejects.commit(run_id).await?;
    let committed = changes.commit(run_id).await?;
    counts.rows_written = committed.rows_written;
    counts.files_added = committed.files_added as u64;
    Ok(())
}
