//! Messages of transcripts that the lake has lost: decoded again from the texts in `payload`, without any request.

use std::collections::BTreeSet;

use arrow::array::{Array, RecordBatch};
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow};
use copilot_lake_tables::{Column, PAYLOAD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table, Week, dataverse_tables};
use copilot_lake_writer::{Extent, MergeMode, Scan};
use futures::TryStreamExt as _;

use crate::cells::{instant, text};
use crate::dataverse::context::DataverseContext;
use crate::error::Error;
use crate::payloads::changes::PayloadChanges;
use crate::payloads::decode::decode_checked;
use crate::reread::reread;

/// The byte-order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes messages and sources again where some were lost. Files that `payload` does not have are fetched afterwards.
pub(crate) async fn redecode_messages(context: &DataverseContext<'_>) -> Result<(), Error> {
    // Lost payloads are found as Files that rows name.
    if context.run.lost.contains_key(PAYLOAD.name) {
        context.run.lake.recovered(&PAYLOAD).await?;
    }
    let derived = [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE].map(|table| (table, context.run.lost.get(table.name)));
    if derived.iter().all(|(_, lost)| lost.is_none()) {
        return Ok(());
    }
    let mut weeks = BTreeSet::new();
    for (_, lost) in &derived {
        match lost.map(|lost| &lost.extent) {
            Some(Extent::Everything) => weeks.extend(context.run.lake.weeks(&PAYLOAD).await?),
            Some(Extent::Weeks(of_table)) => weeks.extend(of_table.keys().copied()),
            None => {}
        }
    }
    for week in weeks.into_iter().rev() {
        if context.run.shutdown.is_requested() {
            context.run.note_shutdown().await;
            return Ok(());
        }
        reread(|| redecode_week(context, week)).await?;
    }
    for (table, _) in derived.into_iter().filter(|(_, lost)| lost.is_some()) {
        context.run.lake.recovered(table).await?;
    }
    Ok(())
}

async fn redecode_week(context: &DataverseContext<'_>, week: Week) -> Result<(), Error> {
    let columns = vec!["source_table", "source_id", "column_name", "file_id", "row_time", "text"];
    let scan = Scan { columns, week: Some(week), ..Scan::default() };
    let mut changes = PayloadChanges::new(&context.run.lake, MergeMode::Upsert);
    let mut batches = std::pin::pin!(context.run.lake.scan(&PAYLOAD, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        let payloads: Vec<_> = (0..batch.num_rows()).filter_map(|row| transcript(&batch, row)).collect();
        if payloads.is_empty() {
            continue;
        }
        let extracted_at = context.service.service_time().await?;
        let mut decoded = decode_checked(payloads, extracted_at).await?;
        // The payloads are there already.
        decoded.payloads.clear();
        changes.push(&context.run.rejects, &context.run.run_id, decoded, extracted_at).await?;
    }
    changes.commit(&context.run.rejects, &context.run.run_id).await
}

/// A transcript as if it had just been fetched; `None` for other payloads and for payloads without text.
fn transcript(batch: &RecordBatch, row: usize) -> Option<RawPayload<Vec<u8>>> {
    let is_text = batch.column_by_name("text").is_some_and(|column| column.is_valid(row));
    let (table, column) = column_of(text(batch, "source_table", row), text(batch, "column_name", row))?;
    if !is_text || !column.transcript {
        return None;
    }
    let source_row = SourceRow {
        table: table.name,
        id: text(batch, "source_id", row).to_owned(),
        partition_id: String::new(),
        column: column.name,
        file_id: text(batch, "file_id", row).to_owned(),
        file_name: None,
        row_time: instant(batch, "row_time", row),
        documented: Charset::Utf8,
    };
    let bytes = [MARK, text(batch, "text", row).as_bytes()].concat();
    Some(RawPayload { row: source_row, fetched: Fetched::Bytes(bytes, None) })
}

fn column_of(table: &str, column: &str) -> Option<(&'static Table, &'static Column)> {
    let table = dataverse_tables().find(|known| known.name == table)?;
    Some((table, table.column(column)?))
}
