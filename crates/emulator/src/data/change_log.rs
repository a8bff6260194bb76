//! What happened to the rows of a table since the emulator started: the memory of change tracking.

use std::collections::{HashMap, HashSet};

/// A row that was made or changed, by the number of its key, or one that is gone, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowChange {
    Upsert(u64),
    Delete(String),
}

/// All changes in order. A stamp counts the phases; what is older than the first phase has none.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    stamp: u64,
    /// Tokens from before that stamp are void.
    since: u64,
    entries: Vec<(u64, RowChange)>,
    pub(crate) deleted: u64,
}

/// Where a change stands in an answer: made and changed rows come first.
pub(crate) type ChangePosition = (i64, usize);

impl ChangeLog {
    /// The stamp of now.
    pub(crate) const fn stamp(&self) -> u64 {
        self.stamp
    }

    pub(crate) const fn is_void(&self, stamp: u64) -> bool {
        stamp < self.since || stamp > self.stamp
    }

    /// Notes what a phase does; `renewed` when it also changes the columns, which voids all tokens.
    pub(crate) fn phase(&mut self, changes: impl Iterator<Item = RowChange>, renewed: bool) {
        self.stamp += 1;
        if renewed {
            self.since = self.stamp;
        }
        for change in changes {
            self.deleted += u64::from(matches!(change, RowChange::Delete(_)));
            self.entries.push((self.stamp, change));
        }
    }

    /// The changes after one stamp up to another, each row once, rows that are gone last.
    pub(crate) fn between(&self, after: u64, until: u64) -> Vec<(ChangePosition, RowChange)> {
        let meant = self.entries.iter().enumerate().filter(|(_, (stamp, _))| *stamp > after && *stamp <= until);
        let mut last = HashMap::new();
        let mut gone = HashSet::new();
        let mut deletes = Vec::new();
        for (at, (_, change)) in meant {
            match change {
                RowChange::Upsert(key) => {
                    last.insert(*key, at);
                }
                RowChange::Delete(id) if gone.insert(id.clone()) => deletes.push(((1, at), change.clone())),
                RowChange::Delete(_) => {}
            }
        }
        let mut all: Vec<_> = last.into_iter().map(|(key, at)| ((0, at), RowChange::Upsert(key))).collect();
        all.append(&mut deletes);
        all.sort_by_key(|(place, _)| *place);
        all
    }
}
