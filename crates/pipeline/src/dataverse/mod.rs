//! Rows of Dataverse: which slices are read, and how their pages, deletions and people come into the lake.
//!
//! Knows nothing of Graph, and nothing of how batches become files.

mod check;
pub(crate) mod context;
pub(crate) mod coverage;
pub(crate) mod deletes;
pub(crate) mod estimate;
pub(crate) mod ingest;
pub(crate) mod labels;
pub(crate) mod named_people;
pub(crate) mod people;
mod plan;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod schema;
mod slice;
mod slice_reader;
mod slices;

use copilot_lake_tables::{SYSTEM_USER, Service};

use self::context::DataverseContext;
use crate::error::Error;
use crate::ledger::runs::Restart;
use crate::payloads::{self, PAYLOAD_TABLES, redecode};
use crate::settings::{DataverseJob, Deletes};

/// Reads rows first, then deletions, the people whom rows name, and payloads.
pub(crate) async fn read_tables(
    context: &DataverseContext<'_>,
    job: &DataverseJob,
    restart: &Restart,
) -> Result<(), Error> {
    let run = context.run;
    // Deletions are everything up to now: a run over a window, or over everything again, finds none.
    let deletes = if run.full || run.window.is_some() { Deletes::Ignore } else { job.deletes };
    let written = run.written(&job.tables).await;
    if deletes != Deletes::Ignore {
        run.stop_failed_table(deletes::start_tracking(context, &written).await).await?;
    }
    let mut slices = slices::plan_slices(context, job, restart).await?;
    let mut fresh = restart.fresh(run.full);
    if fresh.is_some() {
        run.restart_barrier.declare(Service::Dataverse, !slices.is_empty());
        fresh = fresh.filter(|_| slices.is_empty());
    }
    if let Some(from_start) = &fresh {
        match run.restart_barrier.nothing_pending().await {
            true => slices = slices::plan_slices(context, job, from_start).await?,
            false => fresh = None,
        }
    }
    slice_reader::read_slices(context, slices).await?;
    slices::settle_lost(context, job, restart).await?;
    if deletes != Deletes::Ignore {
        let written = run.written(&job.tables).await;
        run.stop_failed_table(deletes::apply_deletions(context, &written, deletes).await).await?;
    }
    if run.shutdown.is_requested() {
        run.note_shutdown().await;
        return Ok(());
    }
    if !run.is_any_table_stopped([&SYSTEM_USER]).await {
        let now = fresh.as_ref().unwrap_or(restart).now;
        run.stop_failed_table(people::read_people(context, now, job.overlap.as_secs() as i64).await).await?;
    }
    if run.is_any_table_stopped(PAYLOAD_TABLES).await {
        return Ok(());
    }
    run.stop_failed_table(redecode::redecode_messages(context).await).await?;
    if !job.payloads {
        return Ok(());
    }
    let written = run.written(&job.tables).await;
    run.stop_failed_table(payloads::fetch_payloads(context, &written).await).await
}
