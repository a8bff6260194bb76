//! What is known of a table's keys, from one commit to the next.

use copilot_lake_tables::{Table, TimeOf};

use crate::key_filter::{FilterBudget, KeyFilter};

/// The keys of a table, as far as they are known. The holder of its lock may commit.
#[derive(Default)]
pub(crate) struct TableKeys {
    filters: Option<TableFilters>,
    /// The version that the filters describe.
    version: u64,
    /// Commits that found no filter.
    searches: u32,
}

impl TableKeys {
    /// The filters of this version's keys, if there are any; those of any other version are dropped.
    pub(crate) fn filters(&mut self, version: u64) -> Option<&mut TableFilters> {
        if self.version != version {
            self.filters = None;
        }
        self.filters.as_mut()
    }

    /// Keeps filters of this version's keys.
    pub(crate) fn set_filters(&mut self, filters: TableFilters, version: u64) {
        (self.filters, self.version) = (Some(filters), version);
    }

    /// Counts a commit that finds no filter; returns how many there were, this one included.
    pub(crate) fn count_search(&mut self) -> u32 {
        self.searches += 1;
        self.searches
    }

    /// Notes a commit of this process, whose keys are in the filters already.
    pub(crate) fn committed(&mut self, version: u64) {
        if version == self.version + 1 {
            self.version = version;
        }
    }
}

/// The hashes of a row's key: of all its columns, and of the first one where rows are deleted by that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHashes {
    pub(crate) key: u128,
    pub(crate) first: Option<u128>,
}

/// Filters of the keys that a table may hold.
pub(crate) struct TableFilters {
    keys: KeyFilter,
    /// Of their first columns, where rows are deleted by those.
    firsts: Option<KeyFilter>,
}

/// Whether all rows of a parent are deleted together, by the first column of their keys.
pub(crate) fn is_deleted_by_first(table: &'static Table) -> bool {
    let layout = table.layout();
    let mut has_filter = layout.key().iter().map(|&at| layout.fields()[at].bloom);
    let of_first = has_filter.next() == Some(true) && has_filter.len() > 0;
    of_first && !has_filter.any(|other| other) && matches!(table.time, TimeOf::Parent)
}

impl TableFilters {
    /// Empty filters with room for that many keys.
    pub(crate) fn new(table: &'static Table, budget: &FilterBudget, keys: usize) -> Self {
        let firsts = is_deleted_by_first(table).then(|| KeyFilter::new(budget.clone(), 0));
        Self { keys: KeyFilter::new(budget.clone(), keys), firsts }
    }

    /// Whether the table may hold a key.
    pub(crate) fn contains(&self, key: u128) -> bool {
        self.keys.contains(key)
    }

    /// Whether a key of the table may begin with the column of that hash; `None` when there is no filter of those.
    pub(crate) fn begins_with(&self, first: u128) -> Option<bool> {
        Some(self.firsts.as_ref()?.contains(first))
    }

    /// Adds a key; returns whether the table may have held it before.
    pub(crate) fn insert(&mut self, hashes: KeyHashes) -> bool {
        self.insert_first(hashes);
        self.keys.insert(hashes.key)
    }

    /// Adds a key without looking it up.
    pub(crate) fn add(&mut self, hashes: KeyHashes) {
        self.insert_first(hashes);
        self.keys.add(hashes.key);
    }

    fn insert_first(&mut self, hashes: KeyHashes) {
        if let (Some(firsts), Some(first)) = (&mut self.firsts, hashes.first) {
            // Most rows share it with others: it is added once.
            firsts.insert(first);
        }
    }
}
