//! Rows that are derived from others and removed with them: payloads, messages, sources, rejects.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use copilot_lake_tables::{PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table};
use copilot_lake_writer::{Changes, Lake, MergeMode};

use crate::error::Error;
use crate::ledger::rejects::{RejectParents, Rejects};
use crate::reread::reread;

/// A column with the same text in every row.
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

/// Removes all messages and sources of these transcripts that are not pushed.
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

/// Removes what was derived from these rows, to be called before the rows themselves are removed.
pub(crate) async fn remove(
    lake: &Lake,
    run_id: &str,
    rejects: &Rejects,
    table: &'static Table,
    deleted: &[Vec<String>],
) -> Result<(), Error> {
    let rows = deleted.len();
    let mut parents = RejectParents::new();
    let part = |at: usize| texts(deleted.iter().map(move |key| key.get(at).map_or("", String::as_str)));
    if table.files().any(|column| column.transcript) {
        for derived in [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE] {
            let mut changes = lake.changes(derived, MergeMode::Upsert);
            changes.remove(&keys(derived, vec![part(0)])?)?;
            changes.commit(run_id).await?;
            let ids: Vec<String> = deleted.iter().filter_map(|key| key.first().cloned()).collect();
            rejects.collect_parents(derived, &ids, &mut parents).await?;
        }
    }
    if table.files().next().is_some() {
        let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
        changes.remove(&keys(&PAYLOAD, vec![same(table.name, rows), part(0), part(1)])?)?;
        changes.commit(run_id).await?;
    }
    let mut changes = lake.changes(&REJECTED_RECORD, MergeMode::Upsert);
    let records = texts(deleted.iter().map(|key| key.join("/")));
    changes.remove(&keys(&REJECTED_RECORD, vec![same(table.source_name(), rows), same(table.name, rows), records])?)?;
    for keys in reread(|| rejects.keys_below(&parents)).await? {
        changes.remove(&keys)?;
    }
    changes.commit(run_id).await?;
    Ok(())
}

/// The full keys of a table's rows.
pub(crate) fn keys_of(table: &'static Table, batch: &RecordBatch) -> Vec<Vec<String>> {
    let key: Vec<_> = table.layout().key().iter().map(|at| batch.column(*at).as_string::<i32>()).collect();
    (0..batch.num_rows()).map(|row| key.iter().map(|part| part.value(row).to_owned()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::{COPILOT_EVENT, COPILOT_TRANSCRIPT_DATA, Instant};

    use super::*;
    use crate::test_lake::{empty, put, rows, texts};

    const TIME: Instant = Instant::from_seconds(1_760_000_000);

    /// Puts a payload for each of these rows.
    async fn put_payloads(lake: &Lake, table: &'static Table, keys: &[[&str; 2]]) {
        let columns = ["source_table", "source_id", "source_partitionid", "column_name", "status"];
        let payloads: Vec<_> =
            keys.iter().map(|[id, partition]| [table.name, id, partition, "file", "ok"].map(Some)).collect();
        let payloads: Vec<&[Option<&str>]> = payloads.iter().map(|row| &row[..]).collect();
        put(lake, &PAYLOAD, rows(&PAYLOAD, &columns, &payloads, TIME), TIME).await;
    }

    /// Puts rejects with these keys.
    async fn put_rejects(lake: &Lake, table: &'static Table, keys: &[&str]) {
        let columns = ["run_id", "source", "table_name", "record_key", "column_name", "reason", "raw_json"];
        let rejects: Vec<_> =
            keys.iter().map(|key| ["run", table.source_name(), table.name, key, "c", "bad", "1"].map(Some)).collect();
        let rejects: Vec<&[Option<&str>]> = rejects.iter().map(|row| &row[..]).collect();
        put(lake, &REJECTED_RECORD, rows(&REJECTED_RECORD, &columns, &rejects, TIME), TIME).await;
    }

    #[tokio::test]
    async fn payloads_and_rejects_go_with_their_row_and_no_other() {
        let lake = empty().await;
        put_payloads(&lake, &COPILOT_EVENT, &[["a", "p"], ["a", "q"], ["b", "p"]]).await;
        put_rejects(&lake, &COPILOT_EVENT, &["a/p", "b/p"]).await;
        let deleted = [vec!["a".to_owned(), "p".to_owned()]];
        remove(&lake, "run", &Rejects::new(&lake), &COPILOT_EVENT, &deleted).await.unwrap();
        assert_eq!(texts(&lake, &PAYLOAD, "source_id").await, ["a", "b"]);
        assert_eq!(texts(&lake, &PAYLOAD, "source_partitionid").await, ["p", "q"]);
        assert_eq!(texts(&lake, &REJECTED_RECORD, "record_key").await, ["b/p"]);
    }

    #[tokio::test]
    async fn messages_and_their_rejects_go_with_their_transcript() {
        let lake = empty().await;
        let columns = ["transcript_data_id", "message_id"];
        let messages: [&[Option<&str>]; 3] =
            [&[Some("a"), Some("1")], &[Some("a"), Some("2")], &[Some("b"), Some("1")]];
        let messages = rows(&TRANSCRIPT_MESSAGE, &columns, &messages, TIME);
        put(&lake, &TRANSCRIPT_MESSAGE, messages, TIME).await;
        put_rejects(&lake, &TRANSCRIPT_MESSAGE, &["a/2", "b/1"]).await;
        let deleted = [vec!["a".to_owned()]];
        remove(&lake, "run", &Rejects::new(&lake), &COPILOT_TRANSCRIPT_DATA, &deleted).await.unwrap();
        assert_eq!(texts(&lake, &TRANSCRIPT_MESSAGE, "transcript_data_id").await, ["b"]);
        assert_eq!(texts(&lake, &REJECTED_RECORD, "record_key").await, ["b/1"]);
    }
}
