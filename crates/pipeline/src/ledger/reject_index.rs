//! The index of rows with rejects: eight bytes for each of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use arrow::array::AsArray as _;
use copilot_lake_tables::{INTERACTION_CHILDREN, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table};
use copilot_lake_writer::{Error, Lake, Scan};
use futures::TryStreamExt as _;

/// Ascending hashes of the keys of rows with rejects, by table; for derived tables also those of their parent rows.
#[derive(Debug, Default)]
pub(super) struct RejectIndex(HashMap<&'static str, Vec<u64>>);

impl RejectIndex {
    pub(super) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut known = Self::default();
        let scan = Scan { columns: vec!["table_name", "record_key"], ..Scan::default() };
        let mut batches = std::pin::pin!(lake.scan(&REJECTED_RECORD, scan).await?);
        // Neighbouring rows are mostly of the same table.
        let mut last: Option<&'static Table> = None;
        while let Some(batch) = batches.try_next().await? {
            let (names, records) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            for row in 0..batch.num_rows() {
                if last.is_none_or(|table| table.name != names.value(row)) {
                    last = copilot_lake_tables::table(names.value(row));
                }
                if let Some(table) = last {
                    known.add(table, records.value(row));
                }
            }
        }
        known.settle();
        Ok(known)
    }

    fn add(&mut self, table: &'static Table, record_key: &str) {
        let hashes = self.0.entry(table.name).or_default();
        hashes.extend([Some(record_key), parent(table, record_key)].into_iter().flatten().map(hash));
    }

    fn settle(&mut self) {
        for hashes in self.0.values_mut() {
            hashes.sort_unstable();
            hashes.dedup();
            hashes.shrink_to_fit();
        }
    }

    pub(super) fn hashes(&self, table: &'static Table) -> &[u64] {
        self.0.get(table.name).map_or(&[], Vec::as_slice)
    }
}

/// 64 bits of a row's key. A collision costs no more than a lookup that finds nothing.
pub(super) fn hash(record_key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(record_key.as_bytes());
    hasher.finish()
}

/// The key of the parent of a derived row: the beginning of the row's own key.
pub(super) fn parent<'k>(table: &'static Table, record_key: &'k str) -> Option<&'k str> {
    let is = |other: &Table| other.name == table.name;
    let parts = if is(&TRANSCRIPT_MESSAGE) || is(&TRANSCRIPT_SOURCE) {
        // The transcript, whose key has one part.
        record_key.split_once('/')
    } else if INTERACTION_CHILDREN.iter().any(|child| is(child)) {
        // The interaction: all but the position.
        record_key.rsplit_once('/')
    } else {
        None
    };
    parts.map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::{AI_INTERACTION_LINK, COPILOT_EVENT};

    #[test]
    fn rows_and_those_to_which_they_belong_are_known() {
        let mut known = RejectIndex::default();
        known.add(&COPILOT_EVENT, "b/p");
        known.add(&COPILOT_EVENT, "a/p");
        known.add(&COPILOT_EVENT, "a/p");
        known.add(&TRANSCRIPT_SOURCE, "t/m/with/slashes/3");
        known.add(&AI_INTERACTION_LINK, "user/19:a/b@thread/1/0");
        known.settle();
        let has = |table, key: &str| known.hashes(table).binary_search(&hash(key)).is_ok();
        assert_eq!(known.hashes(&COPILOT_EVENT).len(), 2);
        assert!(has(&COPILOT_EVENT, "a/p") && has(&COPILOT_EVENT, "b/p") && !has(&COPILOT_EVENT, "a"));
        assert!(has(&TRANSCRIPT_SOURCE, "t") && has(&TRANSCRIPT_SOURCE, "t/m/with/slashes/3"));
        assert!(has(&AI_INTERACTION_LINK, "user/19:a/b@thread/1"));
        assert!(known.hashes(&TRANSCRIPT_MESSAGE).is_empty());
    }
}
