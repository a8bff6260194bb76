//! Changes to a table's rows since the emulator started, from which change tracking answers.

use std::collections::{HashMap, HashSet};

/// One change: a row that was created or changed, by its key hash, or one that was deleted, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowChange {
    Upsert(u64),
    Delete(String),
}

/// All changes in order. A stamp is a number of phases; rows from before the first phase have none.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    stamp: u64,
    /// Tokens issued before this stamp have expired.
    since: u64,
    entries: Vec<(u64, RowChange)>,
    pub(crate) deleted: u64,
}

/// Position of a change in a response: created and changed rows come first.
pub(crate) type ChangePosition = (i64, usize);

impl ChangeLog {
    /// The current stamp.
    pub(crate) const fn stamp(&self) -> u64 {
        self.stamp
    }

    pub(crate) const fn is_void(&self, stamp: u64) -> bool {
        stamp < self.since || stamp > self.stamp
    }

    /// Records the changes of a phase. `renewed`: the phase also changed the columns, which expires all tokens.
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

    /// The changes after one stamp up to another, each row once, deleted rows last.
    pub(crate) fn between(&self, after: u64, until: u64) -> Vec<(ChangePosition, RowChange)> {
        let meant = self.entries.iter().enumerate().filter(|(_, (stamp, _))| *stamp > after && *stamp <= until);
        let mut last = HashMap::new();
        let mut deleted = HashSet::new();
        let mut deletes = Vec::new();
        for (at, (_, change)) in meant {
            match change {
                RowChange::Upsert(key) => {
                    last.insert(*key, at);
                }
                RowChange::Delete(id) if deleted.insert(id.clone()) => deletes.push(((1, at), change.clone())),
                RowChange::Delete(_) => {}
            }
        }
        let mut all: Vec<_> = last.into_iter().map(|(key, at)| ((0, at), RowChange::Upsert(key))).collect();
        all.append(&mut deletes);
        all.sort_by_key(|(place, _)| *place);
        all
    }
}
