//! What is made from rows and goes with them: payloads, messages, sources, rejects.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use copilot_lake_tables::{PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table};
use copilot_lake_writer::{Changes, Lake, MergeMode};

use crate::error::Error;
use crate::rejects::{Parents, Rejects};

/// A column of the same text.
fn same(text: &str, rows: usize) -> ArrayRef {
    texts(std::iter::repeat_n(text, rows))
}

fn texts(texts: impl Iterator<Item = impl AsRef<str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

/// The leading key columns of a derived table, for these values.
fn keys(table: &'static Table, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    RecordBatch::try_from_iter(table.key.iter().copied().zip(columns)).map_err(Error::rows(table))
}

/// Lets all messages and sources of these transcripts go that are not pushed.
pub(crate) fn replace_messages(
    messages: &mut Changes,
    sources: &mut Changes,
    transcripts: &[String],
) -> Result<(), Error> {
    if transcripts.is_empty() {
        return Ok(());
    }
    let ids = || vec![texts(transcripts.iter())];
    messages.remove(&keys(&TRANSCRIPT_MESSAGE, ids())?)?;
    sources.remove(&keys(&TRANSCRIPT_SOURCE, ids())?)?;
    Ok(())
}

/// Removes what was made from rows of a mirror: it goes before the rows themselves.
pub(crate) async fn remove(
    lake: &Lake,
    run_id: &str,
    rejects: &Rejects,
    table: &'static Table,
    gone: &[Vec<String>],
) -> Result<(), Error> {
    let rows = gone.len();
    let mut parents = Parents::new();
    let part = |at: usize| texts(gone.iter().map(move |key| key.get(at).map_or("", String::as_str)));
    if table.files().any(|column| column.transcript) {
        for derived in [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE] {
            let mut changes = lake.changes(derived, MergeMode::Upsert);
            changes.remove(&keys(derived, vec![part(0)])?)?;
            changes.commit(run_id).await?;
            let ids: Vec<String> = gone.iter().filter_map(|key| key.first().cloned()).collect();
            rejects.note_parents(derived, &ids, &mut parents).await?;
        }
    }
    if table.files().next().is_some() {
        let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
        changes.remove(&keys(&PAYLOAD, vec![same(table.name, rows), part(0), part(1)])?)?;
        changes.commit(run_id).await?;
    }
    let mut changes = lake.changes(&REJECTED_RECORD, MergeMode::Upsert);
    let records = texts(gone.iter().map(|key| key.join("/")));
    changes.remove(&keys(&REJECTED_RECORD, vec![same(table.source_name(), rows), same(table.name, rows), records])?)?;
    for keys in rejects.below(&parents).await? {
        changes.remove(&keys)?;
    }
    changes.commit(run_id).await?;
    Ok(())
}

/// The whole keys of a mirror's rows.
pub(crate) fn keys_of(table: &'static Table, batch: &RecordBatch) -> Vec<Vec<String>> {
    let key: Vec<_> = table.layout().key().iter().map(|at| batch.column(*at).as_string::<i32>()).collect();
    (0..batch.num_rows()).map(|row| key.iter().map(|part| part.value(row).to_owned()).collect()).collect()
}
