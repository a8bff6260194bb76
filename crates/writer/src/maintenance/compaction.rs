//! Compaction: merges neighbouring files of a table into one.

use std::ops::Range;
use std::sync::Arc;

use copilot_lake_tables::{Table, Week};

use crate::delta::data_file::DataFile;
use crate::delta::file_commit::CommitKind;
use crate::delta::removed_file::expect_removed;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::merge_files::{Merged, merge_files};
use crate::merge::replace_files::replace_files;
use crate::storage::paths;

/// Which files of a table are merged into one: the newest ones, as far back as that pays.
///
/// A file is included once the newer ones have at least as many rows together. So a row is rewritten only when its file
/// at least doubles, and the number of files grows with the logarithm of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// The week whose files these are; `None` in tables that are not partitioned.
    pub week: Option<Week>,
    /// Only files all of whose rows have this value in this key column.
    pub key: Option<(&'static str, &'static str)>,
    /// Row limit of the merged file.
    pub max_rows: u64,
    /// Files with at most this many rows are always included.
    pub few_rows: u64,
    /// Limit of files merged at a time.
    pub max_files: usize,
}

impl Lake {
    /// How many files [`Lake::compact`] would replace.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn files_to_compact(&self, table: &'static Table, of: &Compaction) -> Result<usize, Error> {
        let files = select_files(table, &self.inner.log(table).files().await?, of).len();
        Ok(if files < 2 { 0 } else { files })
    }

    /// Replaces neighbouring files by one file with the same rows, sorted; returns how many were replaced.
    ///
    /// The files stay in order of time. Files of other writers, and all older ones, are left alone. If another tool
    /// commits at the same time, nothing is done.
    ///
    /// # Errors
    /// Reading the log or a file; writing. The table's rows are the same in any case.
    pub async fn compact(&self, table: &'static Table, of: &Compaction, run_id: &str) -> Result<usize, Error> {
        let (lake, log) = (&*self.inner.storage, self.inner.log(table));
        let mut keys = log.writing.lock().await;
        let Some(snapshot) = log.snapshot().await? else { return Ok(0) };
        let old = select_files(table, &snapshot.files, of);
        if old.len() < 2 {
            return Ok(0);
        }
        let staged = match merge_files(lake, &log, &old, 1).await {
            Ok(Merged::Files(staged)) => staged,
            Ok(_) => return Ok(0),
            Err(error) => return expect_removed(&log, error).await.map(|()| 0),
        };
        let kind = CommitKind::Compaction;
        let is_committed = replace_files(&log, &mut keys, &snapshot, kind, staged, &old, run_id).await?;
        Ok(if is_committed { old.len() } else { 0 })
    }
}

/// The files to be merged, by ascending time.
fn select_files(table: &'static Table, files: &[Arc<DataFile>], of: &Compaction) -> Vec<Arc<DataFile>> {
    let at = of.key.and_then(|(column, _)| table.key.iter().position(|name| *name == column));
    let has_key = |file: &DataFile| match (of.key, at) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((_, value)), Some(at)) => {
            matches!(file.bounds.key.get(at), Some(Some((low, high))) if low == value && high == value)
        }
    };
    let mut files: Vec<_> = files.iter().filter(|file| file.week == of.week && has_key(file)).cloned().collect();
    files.sort_by_key(|file| file.recency());
    // Files of others may not be sorted, and the number of rows must be known.
    let is_ours = |file: &Arc<DataFile>| {
        let is_own = file.path.filename().is_some_and(paths::is_own_data_file);
        is_own && file.rows.is_some() && file.bounds.time.is_some()
    };
    let ours = files.iter().rposition(|file| !is_ours(file)).map_or(0, |at| at + 1);
    let files = files.split_off(ours);
    let rows: Vec<u64> = files.iter().map(|file| file.rows.unwrap_or_default()).collect();
    files[neighbours(&rows, of)].to_vec()
}

/// The range of files to merge, given their rows by ascending time: the newest for which that pays. Files that arrived
/// late with old times lie between others.
fn neighbours(rows: &[u64], of: &Compaction) -> Range<usize> {
    let mut ranges = (0..=rows.len()).rev().map(|end| end - count_newest(&rows[..end], of)..end);
    ranges.find(|files| files.len() > 1).unwrap_or_default()
}

/// How many of the newest files to merge, given their rows by ascending time; fewer than two: nothing to do.
fn count_newest(rows: &[u64], of: &Compaction) -> usize {
    let (mut total, mut files) = (0, 0);
    for rows in rows.iter().rev().take(of.max_files) {
        if files > 0 && (*rows > total.max(of.few_rows) || total + rows > of.max_rows) {
            break;
        }
        total += rows;
        files += 1;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Compaction = Compaction { week: None, key: None, max_rows: 10_000, few_rows: 100, max_files: 50 };

    #[test]
    fn few_rows_always_join_the_newest_file() {
        assert_eq!(count_newest(&[], &RULE), 0);
        assert_eq!(count_newest(&[5], &RULE), 1);
        assert_eq!(count_newest(&[90, 5], &RULE), 2);
        assert_eq!(count_newest(&[3, 3, 3, 3], &RULE), 4);
        assert_eq!(count_newest(&[101, 5], &RULE), 1, "it would be written again for five rows");
    }

    #[test]
    fn a_file_is_taken_in_when_the_newer_ones_have_as_many_rows() {
        assert_eq!(count_newest(&[400, 150, 90, 200], &RULE), 4, "90, then 150 of 290, then 400 of 440");
        assert_eq!(count_newest(&[441, 150, 90, 200], &RULE), 3);
    }

    #[test]
    fn no_file_grows_beyond_its_bound_and_not_too_many_are_read() {
        assert_eq!(count_newest(&[6_000, 6_000], &RULE), 1);
        assert_eq!(count_newest(&[50, 9_980], &RULE), 1);
        assert_eq!(count_newest(&[20, 9_980], &RULE), 2);
        assert_eq!(count_newest(&[1; 500], &RULE), 50);
    }

    #[test]
    fn files_that_came_late_do_not_stay_small() {
        assert_eq!(neighbours(&[7, 7, 7, 1_001, 7], &RULE), 0..4);
        assert_eq!(neighbours(&[1_001, 7, 7], &RULE), 1..3);
        assert_eq!(neighbours(&[1_001, 7], &RULE), 0..0);
        assert_eq!(neighbours(&[], &RULE), 0..0);
    }

    #[test]
    fn files_stay_few_and_rows_are_seldom_written_again() {
        // A thousand runs of ten rows each.
        let (mut files, mut written) = (Vec::new(), 0);
        for _ in 0..1_000 {
            files.push(10);
            let range = neighbours(&files, &RULE);
            if !range.is_empty() {
                let at = range.start;
                let one: u64 = files.drain(range).sum();
                written += one;
                files.insert(at, one);
            }
            assert!(files.len() <= 10, "{files:?}");
        }
        assert!(written < 20 * 10_000, "{written} rows were written again for 10,000");
    }
}
