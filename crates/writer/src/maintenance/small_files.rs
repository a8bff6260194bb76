//! Which small files of a table should be fewer. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_tables::{Instant, Week};

use crate::delta::data_file::DataFile;

/// A file with fewer bytes is small.
const SMALL_BYTES: u64 = 128 << 20;

/// The most bytes of a file that small ones are merged into, as far as their sizes tell.
const MERGED_BYTES: u64 = 256 << 20;

/// Memory for the rows that are read ahead of files that are merged together.
const MERGE_BYTES: u64 = 96 << 20;

/// Memory of a file that is read: its rows take more than its bytes, and of a large one a part is held.
const EXPANSION: u64 = 4;
const READ_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=16 << 20;

/// The most files that are merged together.
const MERGED_FILES: usize = 256;

/// How many small files a week, or a table without weeks, may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallFileLimits {
    /// Of a week that is over.
    pub closed_week: usize,
    /// Of the present week, and of a table without weeks.
    pub table: usize,
}

impl SmallFileLimits {
    /// What every run leaves alone.
    pub const TOLERATED: Self = Self { closed_week: 2, table: 20 };
    /// As few as there can be.
    pub const FEWEST: Self = Self { closed_week: 1, table: 1 };

    fn of(self, week: Option<Week>, now: Instant) -> usize {
        if week.is_some_and(|week| week.end() <= now) { self.closed_week } else { self.table }
    }
}

/// Small files of a week, or of a table without weeks, that should be fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallFiles {
    /// Their week; `None` in tables that are not partitioned.
    pub week: Option<Week>,
    /// How many there are.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many they can be merged into.
    pub merged_files: usize,
}

/// The small files that are more than the limits, week by week.
pub(crate) fn small_files<'f>(
    files: impl Iterator<Item = &'f Arc<DataFile>>,
    limits: SmallFileLimits,
    now: Instant,
) -> BTreeMap<Option<Week>, Vec<Arc<DataFile>>> {
    let mut small: BTreeMap<Option<Week>, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files.filter(|file| file.size < SMALL_BYTES) {
        small.entry(file.week).or_default().push(Arc::clone(file));
    }
    small.retain(|week, files| files.len() > limits.of(*week, now));
    small
}

/// What there is to be said of such files.
pub(crate) fn described((week, files): (Option<Week>, Vec<Arc<DataFile>>)) -> SmallFiles {
    let bytes = bytes(&files);
    SmallFiles { week, files: files.len(), bytes, merged_files: merged_files(bytes) }
}

/// How many files these bytes are merged into: of 128 to 256 MiB, or one.
pub(crate) fn merged_files(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(MERGED_BYTES)).unwrap_or(usize::MAX).max(1)
}

/// The files among these that are merged next: neighbours in time, as many as memory allows and at least two.
pub(crate) fn next_merged(mut files: Vec<Arc<DataFile>>) -> Vec<Arc<DataFile>> {
    files.sort_by_key(|file| file.recency());
    let mut memory = 0;
    let fitting = files.iter().take(MERGED_FILES).take_while(|file| {
        memory += (file.size * EXPANSION).clamp(*READ_BYTES.start(), *READ_BYTES.end());
        memory <= MERGE_BYTES
    });
    let count = fitting.count().max(2);
    files.truncate(count);
    files
}

/// The bytes of files.
pub(crate) fn bytes(files: &[Arc<DataFile>]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::PAYLOAD;
    use object_store::path::Path;

    use super::*;

    fn file(week: Option<Week>, size: u64) -> Arc<DataFile> {
        Arc::new(DataFile::new(&PAYLOAD, Path::from("x"), week, size, 0, None))
    }

    #[test]
    fn a_table_of_cases() {
        let now = Instant::parse("2025-11-05T12:00:00Z").unwrap();
        let (last, present) = (Week::of(now.plus_seconds(-7 * Instant::DAY_SECONDS)), Week::of(now));
        /// So many files of a week with so many bytes.
        type Files = (usize, Option<Week>, u64);
        let cases: &[(&str, &[Files], usize, usize)] = &[
            ("none", &[], 0, 0),
            ("one", &[(1, Some(last), 1)], 0, 0),
            ("two of a week that is over", &[(2, Some(last), 1)], 0, 2),
            ("three", &[(3, Some(last), 1)], 3, 3),
            ("three, one of them large", &[(2, Some(last), 1), (1, Some(last), SMALL_BYTES)], 0, 2),
            ("as many as there may be of the present week", &[(20, Some(present), 1)], 0, 20),
            ("more", &[(21, Some(present), 1), (1, Some(last), 1)], 21, 21),
            ("a table without weeks", &[(20, None, 1)], 0, 20),
            ("with more", &[(25, None, 1)], 25, 25),
        ];
        for (name, groups, tolerated, fewest) in cases {
            let files: Vec<_> =
                groups.iter().flat_map(|(n, week, size)| std::iter::repeat_n(file(*week, *size), *n)).collect();
            for (limits, expected) in [(SmallFileLimits::TOLERATED, tolerated), (SmallFileLimits::FEWEST, fewest)] {
                let found: usize = small_files(files.iter(), limits, now).values().map(Vec::len).sum();
                assert_eq!(found, *expected, "{name} {limits:?}");
            }
        }
    }

    #[test]
    fn merged_files_have_half_to_all_of_the_most_bytes() {
        let sizes = [1, MERGED_BYTES, MERGED_BYTES + 1, 3 * MERGED_BYTES, 3 * MERGED_BYTES + 1];
        assert_eq!(sizes.map(merged_files), [1, 1, 2, 3, 4]);
        // However many are merged, they become fewer.
        for count in 2..50 {
            assert!(merged_files(count * (SMALL_BYTES - 1)) < count as usize, "{count}");
        }
    }

    #[test]
    fn as_many_are_merged_as_fit_in_memory() {
        let of = |count: usize, size: u64| next_merged(vec![file(None, size); count]).len();
        assert_eq!([of(5, 1), of(1_000, 1), of(1_000, 1 << 20), of(1_000, 100 << 20)], [5, 256, 24, 6]);
    }
}
