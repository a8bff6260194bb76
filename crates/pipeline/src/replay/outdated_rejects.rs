//! Rejects of one shard whose rows another one has in a later version. Where one process reads everything, a row that is
//! read again replaces its rejects.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray as _;
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_decoder::RecordKeys;
use copilot_lake_tables::{REJECTED_RECORD, Table};
use copilot_lake_writer::{MergeMode, Scan};
use futures::TryStreamExt as _;

use crate::cells::text;
use crate::error::Error;
use crate::ledger::rejects::keys_of;
use crate::run::context::RunContext;

/// When a row was read.
const EXTRACTED_AT: &str = "extracted_at";
/// Rejects that are looked up together.
const TOGETHER: usize = 10_000;

/// Removes the rejects of rows that were read later without any.
pub(super) async fn remove_outdated_rejects(run: &RunContext) -> Result<(), Error> {
    let mut rejects: BTreeMap<&'static str, BTreeMap<String, i64>> = BTreeMap::new();
    let columns = vec!["table_name", "record_key", EXTRACTED_AT];
    let mut batches = std::pin::pin!(run.lake.scan(&REJECTED_RECORD, Scan { columns, ..Scan::default() }).await?);
    while let Some(batch) = batches.try_next().await? {
        let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let table = copilot_lake_tables::table(text(&batch, "table_name", row));
            if let Some(table) = table.filter(|table| table.entity_set().is_some()) {
                let of_table = rejects.entry(table.name).or_default();
                let newest = of_table.entry(text(&batch, "record_key", row).to_owned()).or_insert(i64::MIN);
                *newest = times.value(row).max(*newest);
            }
        }
    }
    let mut changes = run.lake.changes(&REJECTED_RECORD, MergeMode::Upsert);
    for (name, rejects) in rejects {
        let Some(table) = copilot_lake_tables::table(name) else { continue };
        let rejects: Vec<_> = rejects.into_iter().collect();
        for together in rejects.chunks(TOGETHER) {
            if let Some(keys) = keys_of(table, &read_later(run, table, together).await?)? {
                changes.remove(&keys)?;
            }
        }
    }
    changes.commit(&run.run_id).await?;
    Ok(())
}

/// The keys of those whose rows were read later.
async fn read_later(run: &RunContext, table: &'static Table, rejects: &[(String, i64)]) -> Result<Vec<String>, Error> {
    let by_key: BTreeMap<&str, i64> = rejects.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    let ids: BTreeSet<String> = by_key.keys().filter_map(|key| key.split('/').next()).map(str::to_owned).collect();
    let (mut later, mut key) = (Vec::new(), String::new());
    for batch in run.lake.rows_of(table, &ids).await? {
        let keys = RecordKeys::new(table, &batch);
        let Some(times) = batch.column_by_name(EXTRACTED_AT) else { continue };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            keys.read(row, &mut key);
            if by_key.get(key.as_str()).is_some_and(|at| times.value(row) > *at) {
                later.push(key.clone());
            }
        }
    }
    Ok(later)
}
