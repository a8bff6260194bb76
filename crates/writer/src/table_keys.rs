//! What is known of a table's keys, from one commit to the next.

use crate::key_filter::KeyFilter;

/// The keys of a table, as far as they are known. The holder of its lock may commit.
#[derive(Default)]
pub(crate) struct TableKeys {
    filter: Option<KeyFilter>,
    /// The version that the filter describes.
    version: u64,
    /// Commits that found no filter.
    searches: u32,
}

impl TableKeys {
    /// The filter of this version's keys, if there is one; that of any other version is dropped.
    pub(crate) fn filter(&mut self, version: u64) -> Option<&mut KeyFilter> {
        if self.version != version {
            self.filter = None;
        }
        self.filter.as_mut()
    }

    /// Keeps a filter of this version's keys.
    pub(crate) fn set_filter(&mut self, filter: KeyFilter, version: u64) {
        (self.filter, self.version) = (Some(filter), version);
    }

    /// Counts a commit that finds no filter; returns how many there were, this one included.
    pub(crate) fn count_search(&mut self) -> u32 {
        self.searches += 1;
        self.searches
    }

    /// Notes a commit of this process, whose keys are in the filter already.
    pub(crate) fn committed(&mut self, version: u64) {
        if version == self.version + 1 {
            self.version = version;
        }
    }
}
