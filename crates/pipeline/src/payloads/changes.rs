//! Payloads that are committed together.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{DecodedPayloads, SourceRow, assemble, reject_batch};
use copilot_lake_tables::{Instant, PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE};
use copilot_lake_writer::{Changes, Lake, MergeMode, SortedChanges};
use futures::future::try_join3;

use crate::error::Error;
use crate::ledger::rejects::{RejectParents, Rejects};
use crate::payloads::derived;
use crate::reread::reread;

/// Payloads that are committed together, with the rows derived from them.
pub(crate) struct PayloadChanges {
    payloads: Changes,
    messages: Changes,
    sources: Changes,
    rejects: Changes,
    /// Transcripts whose earlier messages and sources may have rejects.
    replaced: RejectParents,
}

/// Payloads and the rows derived from them, in order and ready to be committed.
pub(crate) struct SortedPayloads {
    payloads: SortedChanges,
    messages: SortedChanges,
    sources: SortedChanges,
    rejects: Changes,
    replaced: RejectParents,
}

impl PayloadChanges {
    /// `mode`: how all of them join the rows of the lake.
    pub(crate) fn new(lake: &Lake, mode: MergeMode) -> Self {
        Self {
            payloads: lake.changes(&PAYLOAD, mode),
            messages: lake.changes(&TRANSCRIPT_MESSAGE, mode),
            sources: lake.changes(&TRANSCRIPT_SOURCE, mode),
            rejects: lake.changes(&REJECTED_RECORD, mode),
            replaced: RejectParents::new(),
        }
    }

    /// Adds decoded payloads. They replace all earlier messages of their transcripts that are in the lake.
    pub(crate) async fn push(
        &mut self,
        rejects: &Rejects,
        run_id: &str,
        decoded: DecodedPayloads,
        extracted_at: Instant,
    ) -> Result<(), Error> {
        self.replace_messages(rejects, &decoded.transcripts).await?;
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

    async fn replace_messages(&mut self, rejects: &Rejects, transcripts: &[String]) -> Result<(), Error> {
        derived::replace_messages(&mut self.messages, &mut self.sources, transcripts)?;
        for table in [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE] {
            rejects.collect_parents(table, transcripts, &mut self.replaced).await?;
        }
        Ok(())
    }

    /// Removes the payloads of rows that no longer name a File.
    pub(crate) async fn remove_cleared(&mut self, rejects: &Rejects, cleared: &[SourceRow]) -> Result<(), Error> {
        if cleared.is_empty() {
            return Ok(());
        }
        self.payloads.remove(&payload_keys(cleared)?)?;
        let transcript = |row: &&SourceRow| {
            let table = copilot_lake_tables::table(row.table);
            table.and_then(|table| table.column(row.column)).is_some_and(|column| column.transcript)
        };
        let transcripts: Vec<String> = cleared.iter().filter(transcript).map(|row| row.id.clone()).collect();
        self.replace_messages(rejects, &transcripts).await
    }

    /// Commits all of them.
    pub(crate) async fn commit(self, rejects: &Rejects, run_id: &str) -> Result<(), Error> {
        let mut sorted = self.sort().await?;
        sorted.remove_replaced_rejects(rejects).await?;
        sorted.commit(run_id).await
    }

    /// Sorts and encodes the rows of all tables side by side.
    pub(crate) async fn sort(self) -> Result<SortedPayloads, Error> {
        let Self { payloads, messages, sources, rejects, replaced } = self;
        let (payloads, messages, sources) = try_join3(payloads.sort(), messages.sort(), sources.sort()).await?;
        Ok(SortedPayloads { payloads, messages, sources, rejects, replaced })
    }
}

impl SortedPayloads {
    /// Removes the rejects of earlier messages and sources. Whatever was pushed before has to be in the lake.
    pub(crate) async fn remove_replaced_rejects(&mut self, rejects: &Rejects) -> Result<(), Error> {
        for keys in reread(|| rejects.keys_below(&self.replaced)).await? {
            self.rejects.remove(&keys)?;
        }
        Ok(())
    }

    /// Commits derived rows before the payloads: a payload that is there has its messages.
    pub(crate) async fn commit(self, run_id: &str) -> Result<(), Error> {
        self.sources.commit(run_id).await?;
        self.messages.commit(run_id).await?;
        self.rejects.commit(run_id).await?;
        self.payloads.commit(run_id).await?;
        Ok(())
    }
}

/// The keys in `payload` of the Files of these rows.
fn payload_keys(cleared: &[SourceRow]) -> Result<RecordBatch, Error> {
    let each =
        |part: fn(&SourceRow) -> &str| Arc::new(StringArray::from_iter_values(cleared.iter().map(part))) as ArrayRef;
    let keys = vec![
        ("source_table", each(|row| row.table)),
        ("source_id", each(|row| &row.id)),
        ("source_partitionid", each(|row| &row.partition_id)),
        ("column_name", each(|row| row.column)),
    ];
    Ok(assemble(&PAYLOAD, keys)?)
}
