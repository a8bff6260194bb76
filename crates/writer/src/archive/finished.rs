//! The archives that a run has finished: small ones are merged.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use object_store::path::Path;

/// The most bytes of a bundle: stores and tools handle that well, and few bundles hold very many entries.
pub(super) const BUNDLE_BYTES: u64 = 128 << 20;
/// Archives with fewer bytes in bundles are merged.
const SMALL_BYTES: u64 = 16 << 20;
/// The most bytes of an index, decompressed, of archives that are merged: a replay has it in memory.
const INDEX_BYTES: u64 = 16 << 20;

/// A finished archive.
#[derive(Debug, Clone)]
pub(super) struct FinishedArchive {
    pub(super) folder: Path,
    /// Its number within the run, or those of the archives that were merged into it.
    pub(super) numbers: RangeInclusive<u32>,
    /// Bytes of its bundles.
    pub(super) bundles: Vec<u64>,
    /// Bytes of its index, decompressed.
    pub(super) index_bytes: u64,
}

impl FinishedArchive {
    fn bytes(&self) -> u64 {
        self.bundles.iter().sum()
    }

    fn is_small(&self) -> bool {
        self.bytes() < SMALL_BYTES && self.index_bytes < INDEX_BYTES / 4
    }
}

/// The finished archives of a run, by table.
#[derive(Debug, Default)]
pub(super) struct FinishedArchives(Mutex<BTreeMap<String, Vec<FinishedArchive>>>);

impl FinishedArchives {
    pub(super) fn push(&self, table: &str, archive: FinishedArchive) {
        let mut by_table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_table = by_table.entry(table.to_owned()).or_default();
        of_table.push(archive);
        of_table.sort_by_key(|archive| *archive.numbers.start());
    }

    /// The tables that have any.
    pub(super) fn tables(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Takes out the archives to be merged, group by group: small ones, with no other of the table between them.
    pub(super) fn take_small(&self, table: &str) -> Vec<Vec<FinishedArchive>> {
        let mut by_table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_table) = by_table.get_mut(table) else { return vec![] };
        let mut groups: Vec<Vec<FinishedArchive>> = vec![vec![]];
        let (mut bytes, mut index_bytes) = (0, 0);
        let mut others = Vec::new();
        for archive in of_table.drain(..) {
            (bytes, index_bytes) = (bytes + archive.bytes(), index_bytes + archive.index_bytes);
            if !archive.is_small() || bytes > BUNDLE_BYTES || index_bytes > INDEX_BYTES {
                (bytes, index_bytes) = (archive.bytes(), archive.index_bytes);
                groups.push(vec![]);
            }
            if !archive.is_small() {
                (bytes, index_bytes) = (0, 0);
                others.push(archive);
            } else if let Some(group) = groups.last_mut() {
                group.push(archive);
            }
        }
        let (merged, alone): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.len() > 1);
        of_table.extend(others.into_iter().chain(alone.into_iter().flatten()));
        of_table.sort_by_key(|archive| *archive.numbers.start());
        merged
    }

    /// Whether small archives of a table would make up a bundle.
    pub(super) fn fill_a_bundle(&self, table: &str) -> bool {
        let by_table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let small = by_table.get(table).into_iter().flatten().filter(|archive| archive.is_small());
        let sums = small.fold((0, 0), |sums, archive| (sums.0 + archive.bytes(), sums.1 + archive.index_bytes));
        sums.0 >= BUNDLE_BYTES / 2 || sums.1 >= INDEX_BYTES / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archives(sizes: &[(u32, u64, u64)]) -> FinishedArchives {
        let archives = FinishedArchives::default();
        for (number, mebibytes, index_bytes) in sizes.iter().rev() {
            let folder = Path::from(number.to_string());
            let (numbers, bundles) = (*number..=*number, vec![mebibytes << 20]);
            archives.push("t", FinishedArchive { folder, numbers, bundles, index_bytes: *index_bytes });
        }
        archives
    }

    fn groups(archives: &FinishedArchives) -> Vec<Vec<u32>> {
        let taken = archives.take_small("t");
        taken.iter().map(|group| group.iter().map(|archive| *archive.numbers.start()).collect()).collect()
    }

    #[test]
    fn neighbours_that_are_small_are_merged() {
        let found = archives(&[(1, 1, 9), (2, 15, 9), (4, 16, 9), (5, 2, 9), (7, 3, 9), (8, 100, 9), (9, 1, 9)]);
        assert_eq!(groups(&found), [vec![1, 2], vec![5, 7]]);
        assert!(groups(&found).is_empty(), "they were taken out");
    }

    #[test]
    fn a_bundle_and_its_index_stay_bounded() {
        let by_bytes: Vec<_> = (1..=20).map(|number| (number, 15, 9)).collect();
        let lengths: Vec<_> = groups(&archives(&by_bytes)).iter().map(Vec::len).collect();
        assert_eq!(lengths, [8, 8, 4]);
        let by_index: Vec<_> = (1..=10).map(|number| (number, 1, 3 << 20)).collect();
        let lengths: Vec<_> = groups(&archives(&by_index)).iter().map(Vec::len).collect();
        assert_eq!(lengths, [5, 5]);
        assert!(archives(&by_bytes).fill_a_bundle("t") && !archives(&by_bytes[..4]).fill_a_bundle("t"));
    }
}
