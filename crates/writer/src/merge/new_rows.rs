//! The new rows whose keys the table may hold, or that have one key several times.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use copilot_lake_tables::Table;
use object_store::ObjectStore;

use crate::error::Error;
use crate::merge::pending_rows::{EVER, KeyRow, PendingRows};
use crate::merge::version::Version;
use crate::parquet::key_probe::KeyProbe;

/// More keys are not told from the others: nearly all rows are known then.
const TOLD_APART: usize = 1 << 15;

/// The newest new row of a key.
pub(crate) struct NewestRow {
    pub(crate) source: u32,
    pub(crate) position: u32,
    pub(crate) version: Version,
    /// The table has a row with this key.
    pub(crate) is_found: AtomicBool,
}

/// New rows that are to be looked for in the table.
pub(crate) struct NewRows {
    pub(crate) by_key: HashMap<u128, NewestRow>,
    /// Positions of rows that give way to newer ones of the same key, by source.
    pub(crate) superseded: Vec<Vec<u32>>,
    /// Between which times the rows of each source lie.
    pub(crate) times: Vec<Option<(i64, i64)>>,
    /// Their keys, for the filters of files.
    pub(crate) sought: KeyProbe,
}

/// Keys that may be in the table, or come several times.
pub(crate) enum Candidates {
    /// These, by their hashes.
    Some(HashSet<u128>),
    /// Any.
    All,
}

impl Candidates {
    /// The keys of these rows of which that is true.
    pub(crate) async fn of(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        sources: &[PendingRows],
        mut is_suspect: impl FnMut(u128) -> bool,
    ) -> Result<Self, Error> {
        let mut suspects = HashSet::new();
        for source in sources {
            let insert = |row: KeyRow<'_>| {
                let key = row.key();
                if is_suspect(key) && suspects.len() <= TOLD_APART {
                    suspects.insert(key);
                }
            };
            source.keys(store, table, EVER, insert).await?;
        }
        Ok(if suspects.len() > TOLD_APART { Self::All } else { Self::Some(suspects) })
    }

    fn contain(&self, key: u128) -> bool {
        match self {
            Self::Some(keys) => keys.contains(&key),
            Self::All => true,
        }
    }
}

impl NewRows {
    /// Finds the newest of the rows with each key, of equal versions the last one. `sought`: what is looked for besides.
    pub(crate) async fn read(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        sources: &[PendingRows],
        suspects: &Candidates,
        sought: KeyProbe,
    ) -> Result<Self, Error> {
        let mut this = Self {
            by_key: HashMap::new(),
            superseded: vec![Vec::new(); sources.len()],
            times: vec![None; sources.len()],
            sought,
        };
        if matches!(suspects, Candidates::Some(keys) if keys.is_empty()) {
            return Ok(this);
        }
        for (at, source) in sources.iter().enumerate() {
            source.keys(store, table, EVER, |row| this.insert(at, &row, suspects)).await?;
        }
        Ok(this)
    }

    fn insert(&mut self, source: usize, row: &KeyRow<'_>, suspects: &Candidates) {
        let key = row.key();
        if !suspects.contain(key) {
            return;
        }
        let (columns, at) = row.columns();
        self.sought.add(columns, at);
        let (low, high) = self.times[source].get_or_insert((row.time(), row.time()));
        (*low, *high) = ((*low).min(row.time()), (*high).max(row.time()));
        let (position, version) = (row.position, row.version());
        let this = NewestRow { source: source as u32, position, version, is_found: AtomicBool::new(false) };
        let superseded = match self.by_key.get(&key) {
            Some(before) if before.version.compare(version).is_gt() => this,
            _ => match self.by_key.insert(key, this) {
                Some(before) => before,
                None => return,
            },
        };
        self.superseded[superseded.source as usize].push(superseded.position);
    }

    /// Whether a key is looked for that is not found yet.
    pub(crate) fn any_missing(&self) -> bool {
        self.by_key.values().any(|row| !row.is_found.load(Ordering::Relaxed))
    }
}
