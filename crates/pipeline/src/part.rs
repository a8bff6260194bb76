//! Payloads that are committed together.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{DecodedPayloads, SourceRow, assemble, reject_batch};
use copilot_lake_tables::{Instant, PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE};
use copilot_lake_writer::{Changes, Lake, MergeMode};

use crate::derived;
use crate::error::Error;
use crate::rejects::{Parents, Rejects};

/// Payloads that are committed together, with what is made from them.
pub(crate) struct Part {
    payloads: Changes,
    messages: Changes,
    sources: Changes,
    rejects: Changes,
    /// Transcripts whose messages and sources may have rejects.
    replaced: Parents,
}

impl Part {
    /// `find`: by key, or again.
    pub(crate) fn new(lake: &Lake, find: MergeMode) -> Self {
        Self {
            payloads: lake.changes(&PAYLOAD, find),
            messages: lake.changes(&TRANSCRIPT_MESSAGE, find),
            sources: lake.changes(&TRANSCRIPT_SOURCE, find),
            rejects: lake.changes(&REJECTED_RECORD, find),
            replaced: Parents::new(),
        }
    }

    /// Takes decoded payloads: older messages of their transcripts go.
    pub(crate) async fn push(
        &mut self,
        rejects: &Rejects,
        run_id: &str,
        decoded: DecodedPayloads,
        extracted_at: Instant,
    ) -> Result<(), Error> {
        self.replace(rejects, &decoded.transcripts).await?;
        for (table, reject) in &decoded.rejects {
            let batch = reject_batch(table, std::slice::from_ref(reject), run_id, extracted_at)?;
            self.rejects.push(None, batch).await?;
            rejects.learn(table, std::slice::from_ref(reject));
        }
        for (week, batch) in decoded.messages {
            self.messages.push(Some(week), batch).await?;
        }
        for (week, batch) in decoded.sources {
            self.sources.push(Some(week), batch).await?;
        }
        for (week, batch) in decoded.payloads {
            self.payloads.push(Some(week), batch).await?;
        }
        Ok(())
    }

    async fn replace(&mut self, rejects: &Rejects, transcripts: &[String]) -> Result<(), Error> {
        derived::replace_messages(&mut self.messages, &mut self.sources, transcripts)?;
        for table in [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE] {
            rejects.note_parents(table, transcripts, &mut self.replaced).await?;
        }
        Ok(())
    }

    /// Takes rows that name no File any more: their payloads go.
    pub(crate) async fn forget(&mut self, rejects: &Rejects, gone: &[SourceRow]) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        self.payloads.remove(&keys(gone)?)?;
        let transcript = |row: &&SourceRow| {
            let table = copilot_lake_tables::table(row.table);
            table.and_then(|table| table.column(row.column)).is_some_and(|column| column.transcript)
        };
        let transcripts: Vec<String> = gone.iter().filter(transcript).map(|row| row.id.clone()).collect();
        self.replace(rejects, &transcripts).await
    }

    /// Commits what is made from payloads before them: a payload proves that its messages are there.
    pub(crate) async fn commit(mut self, rejects: &Rejects, run_id: &str) -> Result<(), Error> {
        for keys in rejects.below(&self.replaced).await? {
            self.rejects.remove(&keys)?;
        }
        for changes in [self.sources, self.messages, self.rejects, self.payloads] {
            changes.commit(run_id).await?;
        }
        Ok(())
    }
}

/// The keys of rows of `payload` whose row names no File any more.
fn keys(gone: &[SourceRow]) -> Result<RecordBatch, Error> {
    let each =
        |part: fn(&SourceRow) -> &str| Arc::new(StringArray::from_iter_values(gone.iter().map(part))) as ArrayRef;
    let keys = vec![
        ("source_table", each(|row| row.table)),
        ("source_id", each(|row| &row.id)),
        ("source_partitionid", each(|row| &row.partition_id)),
        ("column_name", each(|row| row.column)),
    ];
    Ok(assemble(&PAYLOAD, keys)?)
}
