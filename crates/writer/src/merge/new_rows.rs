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
    /// These, by their hashes.
    Some(HashSet<u128>),
    /// Any.
    All,
}

impl Candidates {
    /// Selects the keys for which `is_candidate` holds.
    pub(crate) async fn select(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        inputs: &[PendingRows],
        mut is_candidate: impl FnMut(KeyHashes) -> bool,
    ) -> Result<Self, Error> {
        let mut candidates = HashSet::new();
        let with_first = is_deleted_by_first(table);
        for input in inputs {
            let insert = |row: KeyRow<'_>| {
                let hashes = row.hashes(with_first);
                if is_candidate(hashes) && candidates.len() <= MAX_CANDIDATES {
                    candidates.insert(hashes.key);
                }
            };
            input.keys(store, table, ALL_TIMES, insert).await?;
        }
        Ok(if candidates.len() > MAX_CANDIDATES { Self::All } else { Self::Some(candidates) })
    }

    fn contains(&self, key: u128) -> bool {
        match self {
            Self::Some(keys) => keys.contains(&key),
            Self::All => true,
        }
    }
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
        if matches!(candidates, Candidates::Some(keys) if keys.is_empty()) {
            return Ok(this);
        }
        for (at, input) in inputs.iter().enumerate() {
            input.keys(store, table, ALL_TIMES, |row| this.insert(at, &row, candidates)).await?;
        }
        Ok(this)
    }

    fn insert(&mut self, input: usize, row: &KeyRow<'_>, candidates: &Candidates) {
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

    /// Whether a key was not found yet.
    pub(crate) fn any_missing(&self) -> bool {
        self.by_key.values().any(|row| !row.is_found.load(Ordering::Relaxed))
    }
}
