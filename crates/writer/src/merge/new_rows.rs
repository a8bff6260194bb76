//! The new rows to look up: those whose keys the table may hold, or that share a key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use copilot_lake_tables::Table;
use object_store::ObjectStore;

use crate::error::Error;
use crate::merge::key_reader::KeyRow;
use crate::merge::pending_rows::PendingRows;
use crate::merge::version::Version;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::ALL_TIMES;
use crate::table_keys::{KeyHashes, is_deleted_by_first};

/// Maximum candidates: with more, nearly all rows are known, and all are looked up.
const MAX_CANDIDATES: usize = 1 << 15;

/// The newest new row of a key.
pub(crate) struct NewestRow {
    pub(crate) input: u32,
    pub(crate) position: u32,
    pub(crate) version: Version,
    /// The table has a row with this key.
    pub(crate) is_found: AtomicBool,
}

/// Rows whose keys are remembered by their hashes, in 8 bytes each, while candidates are selected: then the others are not
/// hashed again.
const REMEMBERED_ROWS: u64 = 1 << 19;

/// New rows to look up in the table.
pub(crate) struct NewRows {
    pub(crate) by_key: HashMap<u128, NewestRow>,
    /// Positions of rows superseded by newer ones of the same key, by input.
    pub(crate) superseded: Vec<Vec<u32>>,
    /// The bounds of the times of each input's rows.
    pub(crate) times: Vec<Option<(i64, i64)>>,
    /// Their keys, for the Bloom filters of files.
    pub(crate) probe: KeyProbe,
}

/// Keys that the table may hold, or that come more than once.
pub(crate) enum Candidates {
    /// These.
    Some(CandidateKeys),
    /// Any.
    All,
}

/// Keys by their hashes.
pub(crate) struct CandidateKeys {
    hashes: HashSet<u128>,
    /// The positions of the rows that may have one of them, ascending, by input; `None`: any may.
    rows: Option<Vec<Vec<u32>>>,
}

impl Candidates {
    /// Selects the keys for which `is_candidate` holds.
    pub(crate) async fn select(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        inputs: &[PendingRows],
        mut is_candidate: impl FnMut(KeyHashes) -> bool,
    ) -> Result<Self, Error> {
        let mut hashes = HashSet::new();
        let with_first = is_deleted_by_first(table);
        let remembers = inputs.iter().map(PendingRows::rows).sum::<u64>() <= REMEMBERED_ROWS;
        let mut remembered = Vec::with_capacity(inputs.len());
        for input in inputs {
            // A row whose key is selected later may have come before.
            let mut of_input = Vec::new();
            let insert = |row: KeyRow<'_>| {
                let of_row = row.hashes(with_first);
                if remembers {
                    of_input.push((row.position, short(of_row.key)));
                }
                if is_candidate(of_row) && hashes.len() <= MAX_CANDIDATES {
                    hashes.insert(of_row.key);
                }
            };
            input.keys(store, table, ALL_TIMES, insert).await?;
            remembered.push(of_input);
        }
        if hashes.len() > MAX_CANDIDATES {
            return Ok(Self::All);
        }
        let selected: HashSet<u32> = hashes.iter().map(|hash| short(*hash)).collect();
        let rows = |of_input: Vec<(u32, u32)>| -> Vec<u32> {
            of_input.into_iter().filter(|(_, hash)| selected.contains(hash)).map(|(row, _)| row).collect()
        };
        let rows = remembers.then(|| remembered.into_iter().map(rows).collect());
        Ok(Self::Some(CandidateKeys { hashes, rows }))
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(keys) if keys.hashes.is_empty())
    }

    /// Whether a row may have one of these keys, going by its position alone.
    fn may_be_at(&self, input: usize, position: u32) -> bool {
        match self {
            Self::Some(CandidateKeys { rows: Some(rows), .. }) => rows[input].binary_search(&position).is_ok(),
            _ => true,
        }
    }

    fn contains(&self, key: u128) -> bool {
        match self {
            Self::Some(keys) => keys.hashes.contains(&key),
            Self::All => true,
        }
    }
}

/// A part of a hash: enough to leave out nearly all rows that do not have it.
fn short(hash: u128) -> u32 {
    hash as u32
}

impl NewRows {
    /// Finds the newest row of each key; among equal versions the last one. Their keys are added to `probe`.
    pub(crate) async fn read(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        inputs: &[PendingRows],
        candidates: &Candidates,
        probe: KeyProbe,
    ) -> Result<Self, Error> {
        let mut this = Self {
            by_key: HashMap::new(),
            superseded: vec![Vec::new(); inputs.len()],
            times: vec![None; inputs.len()],
            probe,
        };
        if candidates.is_empty() {
            return Ok(this);
        }
        for (at, input) in inputs.iter().enumerate() {
            input.keys(store, table, ALL_TIMES, |row| this.insert(at, &row, candidates)).await?;
        }
        Ok(this)
    }

    fn insert(&mut self, input: usize, row: &KeyRow<'_>, candidates: &Candidates) {
        if !candidates.may_be_at(input, row.position) {
            return;
        }
        let key = row.key();
        if !candidates.contains(key) {
            return;
        }
        let (columns, at) = row.columns();
        self.probe.add(columns, at);
        let (low, high) = self.times[input].get_or_insert((row.time(), row.time()));
        (*low, *high) = ((*low).min(row.time()), (*high).max(row.time()));
        let (position, version) = (row.position, row.version());
        let this = NewestRow { input: input as u32, position, version, is_found: AtomicBool::new(false) };
        let superseded = match self.by_key.get(&key) {
            Some(before) if before.version.compare(version).is_gt() => this,
            _ => match self.by_key.insert(key, this) {
                Some(before) => before,
                None => return,
            },
        };
        self.superseded[superseded.input as usize].push(superseded.position);
    }

    /// The positions of the rows whose keys were not found yet, ascending, by input.
    pub(crate) fn missing_positions(&self) -> Vec<Vec<u32>> {
        let mut positions = vec![Vec::new(); self.superseded.len()];
        for row in self.by_key.values().filter(|row| !row.is_found.load(Ordering::Relaxed)) {
            positions[row.input as usize].push(row.position);
        }
        positions.iter_mut().for_each(|positions| positions.sort_unstable());
        positions
    }

    /// Whether a key was not found yet.
    pub(crate) fn any_missing(&self) -> bool {
        self.by_key.values().any(|row| !row.is_found.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::COPILOT_EVENT;

    use super::*;
    use crate::merge::sorted_run::SortedRun;
    use crate::tests::{events, lake, week};

    #[tokio::test]
    async fn rows_that_came_before_their_key_was_selected_are_read() {
        let (_folder, lake) = lake().await;
        let storage = &lake.inner.storage;
        // The same key at two times.
        let rows = events(&[("a", 1, 1, "older"), ("b", 2, 1, "b"), ("a", 3, 2, "newer")]);
        let run = SortedRun::new(&COPILOT_EVENT, vec![rows]).unwrap();
        let inputs = [PendingRows::InMemory { week: Some(week()), run, reservation: storage.memory.reserve() }];
        let (store, mut seen) = (&storage.store, HashSet::new());
        let candidates = Candidates::select(store, &COPILOT_EVENT, &inputs, |of| !seen.insert(of.key)).await.unwrap();
        let probe = KeyProbe::new(&COPILOT_EVENT);
        let new = NewRows::read(store, &COPILOT_EVENT, &inputs, &candidates, probe).await.unwrap();
        assert_eq!(new.by_key.len(), 1, "`b` comes once");
        assert_eq!(new.superseded, [[0]]);
        assert_eq!(new.missing_positions(), [[2]]);
    }
}
