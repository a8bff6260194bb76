//! How many files of a table are small and should be fewer. Pure.

use std::collections::BTreeMap;

use copilot_lake_tables::{Instant, Week};
use copilot_lake_writer::LakeFile;

/// A file with fewer bytes is small.
const SMALL_BYTES: u64 = 128 << 20;
/// The most small files of a week that is over.
const OF_WEEK: u64 = 2;
/// The most small files of the present week, and of a table without weeks.
const OF_TABLE: u64 = 20;

/// The small files of weeks, or of a table without weeks, that have more of them than they should.
pub(super) fn small_files(files: &[LakeFile], now: Instant) -> u64 {
    let mut small: BTreeMap<Option<Week>, u64> = BTreeMap::new();
    for file in files.iter().filter(|file| file.size < SMALL_BYTES) {
        *small.entry(file.week).or_default() += 1;
    }
    let is_over = |week: &Option<Week>| week.is_some_and(|week| week.end() <= now);
    let limit = |week: &Option<Week>| if is_over(week) { OF_WEEK } else { OF_TABLE };
    small.into_iter().filter(|(week, files)| *files > limit(week)).map(|(_, files)| files).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_cases() {
        let now = Instant::parse("2025-11-05T12:00:00Z").unwrap();
        let (last, present) = (Week::of(now.plus_seconds(-7 * Instant::DAY_SECONDS)), Week::of(now));
        /// So many files of a week with so many bytes.
        type Files = (usize, Option<Week>, u64);
        let cases: &[(&str, &[Files], u64)] = &[
            ("none", &[], 0),
            ("two of a week that is over", &[(2, Some(last), 1)], 0),
            ("three", &[(3, Some(last), 1)], 3),
            ("three, one of them large", &[(2, Some(last), 1), (1, Some(last), SMALL_BYTES)], 0),
            ("as many as there may be of the present week", &[(20, Some(present), 1)], 0),
            ("more", &[(21, Some(present), 1), (1, Some(last), 1)], 21),
            ("a table without weeks", &[(20, None, 1)], 0),
            ("with more", &[(25, None, 1)], 25),
        ];
        for (name, groups, expected) in cases {
            let file = |week, size| LakeFile { path: String::new(), size, rows: 1, week };
            let files: Vec<_> =
                groups.iter().flat_map(|(n, week, size)| std::iter::repeat_n(file(*week, *size), *n)).collect();
            assert_eq!(small_files(&files, now), *expected, "{name}");
        }
    }
}
