//! How complete the payloads of a table are. Only weeks that no run has found complete are read.

use copilot_lake_tables::{Instant, PAYLOAD, Table};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use super::lake_status::PayloadStatus;
use crate::cells::text;
use crate::error::Error;
use crate::payloads::complete_weeks::{CompleteWeeks, RecordedWeeks};
use crate::payloads::named_files::{self, ClearedFiles, RetryMissing};

/// The payloads that the rows of a table name. `now` decides which missing ones may still come.
pub(super) async fn payload_status(
    lake: &Lake,
    recorded: &RecordedWeeks,
    table: &'static Table,
    now: Instant,
) -> Result<PayloadStatus, Error> {
    let tables = [table];
    let complete = CompleteWeeks::read(lake, recorded, &tables).await?;
    let weeks = lake.weeks(table).await?;
    let incomplete: Vec<_> = weeks.iter().filter(|week| !complete.contains(table, **week)).collect();
    let mut status = PayloadStatus {
        weeks: weeks.len() as u64,
        complete_weeks: (weeks.len() - incomplete.len()) as u64,
        ..PayloadStatus::default()
    };
    let retry = RetryMissing { full: false, now };
    let files = named_files::files_to_fetch(lake, &tables, &complete, &ClearedFiles::default(), retry).await?;
    let mut files = std::pin::pin!(files);
    while files.try_next().await?.is_some() {
        status.due += 1;
    }
    for week in incomplete {
        let (columns, key) = (vec!["source_table", "status"], Some(("source_table", table.name)));
        let mut batches = std::pin::pin!(lake.scan(&PAYLOAD, Scan { columns, week: Some(*week), key }).await?);
        while let Some(batch) = batches.try_next().await? {
            let is_failed = |row: &usize| {
                text(&batch, "source_table", *row) == table.name && text(&batch, "status", *row) == "failed"
            };
            status.failed += (0..batch.num_rows()).filter(is_failed).count() as u64;
        }
    }
    Ok(status)
}
