//! Fingerprints of the rows of weeks, now and before other tools compacted their files.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{Table, WEEK_START, Week};
use futures::TryStreamExt;
use object_store::path::Path;
use serde_json::Value;

use crate::delta::commit_info::NewestCommit;
use crate::error::Error;
use crate::lake::Lake;
use crate::storage::paths;

/// The most log entries that are read to find out which files other tools' compactions replaced. Callers keep the
/// fingerprints that they have compared: what is older than their last comparison is not read.
const ENTRIES: usize = 200;

impl Lake {
    /// A fingerprint of each week's rows: it changes when rows are added, replaced or removed, and stays when this
    /// program merges files. After a compaction by another tool it is another one. A table without weeks has one, under
    /// [`Week::UNKNOWN`].
    pub async fn week_fingerprints(&self, table: &'static Table) -> Result<BTreeMap<Week, u64>, Error> {
        let files = self.inner.log(table).files().await?;
        let mut weeks = BTreeMap::<Week, WeekFiles>::new();
        for file in files {
            weeks.entry(file.week.unwrap_or(Week::UNKNOWN)).or_default().0.insert(file.path.clone());
        }
        Ok(weeks.into_iter().map(|(week, files)| (week, files.fingerprint())).collect())
    }

    /// The fingerprints of these weeks' rows: the present one, and those from before other tools compacted their files, as
    /// far back as log entries say that the rows are the same. Weeks without files have none. Requests nothing where all
    /// files are this program's.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn fingerprints_across_compactions(
        &self,
        table: &'static Table,
        weeks: &BTreeSet<Week>,
    ) -> Result<BTreeMap<Week, BTreeSet<u64>>, Error> {
        let log = self.inner.log(table);
        let Some(snapshot) = log.snapshot().await? else { return Ok(BTreeMap::new()) };
        let mut open = BTreeMap::<Week, WeekFiles>::new();
        for file in &snapshot.files {
            let week = file.week.unwrap_or(Week::UNKNOWN);
            if weeks.contains(&week) {
                open.entry(week).or_default().0.insert(file.path.clone());
            }
        }
        let mut found: BTreeMap<Week, BTreeSet<u64>> =
            open.iter().map(|(week, files)| (*week, BTreeSet::from([files.fingerprint()]))).collect();
        open.retain(|_, files| files.has_foreign());
        let mut entries = std::pin::pin!(log.read_entries((0..=snapshot.version).rev().take(ENTRIES)));
        while !open.is_empty() {
            // Older entries are deleted in time.
            let Some(Some(entry)) = entries.try_next().await? else { break };
            let is_own = NewestCommit::from_entry(&entry) != NewestCommit::Foreign;
            let commits = week_commits(table, &entry);
            open.retain(|week, files| {
                let Some(commit) = commits.get(week) else { return true };
                if !files.undo(commit, is_own) {
                    return false;
                }
                found.entry(*week).or_default().insert(files.fingerprint());
                files.has_foreign()
            });
        }
        Ok(found)
    }
}

/// The paths of a week's files.
#[derive(Debug, Default)]
struct WeekFiles(BTreeSet<Path>);

impl WeekFiles {
    fn fingerprint(&self) -> u64 {
        self.0.iter().fold(0u64, |sum, path| sum.wrapping_add(paths::rows_id(path)))
    }

    /// Whether another tool has written any of them.
    fn has_foreign(&self) -> bool {
        self.0.iter().any(|path| !path.filename().is_some_and(paths::is_own_data_file))
    }

    /// Goes back to before a commit that replaced files by others with the same rows. `false`: it did something else.
    fn undo(&mut self, commit: &WeekCommit, is_own: bool) -> bool {
        if commit.changes_rows || commit.added.is_empty() {
            return false;
        }
        if commit.removed.is_empty() {
            // This program adds a file again to correct what the log says of it.
            return is_own;
        }
        let is_known = commit.added.iter().all(|path| self.0.remove(path));
        self.0.extend(commit.removed.iter().cloned());
        is_known
    }
}

/// What a commit did to the files of a week.
#[derive(Debug, Default)]
struct WeekCommit {
    added: Vec<Path>,
    removed: Vec<Path>,
    /// Whether it says that rows are others than before.
    changes_rows: bool,
}

/// Reads a log entry.
fn week_commits(table: &'static Table, entry: &[u8]) -> BTreeMap<Week, WeekCommit> {
    let mut commits = BTreeMap::<Week, WeekCommit>::new();
    for line in entry.split(|byte| *byte == b'\n') {
        let Ok(action) = serde_json::from_slice::<Value>(line) else { continue };
        for name in ["add", "remove"] {
            let of_file = &action[name];
            let Some(path) = of_file["path"].as_str().and_then(|path| Path::from_url_path(path).ok()) else { continue };
            let week = of_file["partitionValues"][WEEK_START].as_str().and_then(Week::parse);
            let commit = commits.entry(week.unwrap_or(Week::UNKNOWN)).or_default();
            let files = if name == "add" { &mut commit.added } else { &mut commit.removed };
            files.push(paths::in_lake(table, &path));
            commit.changes_rows |= of_file["dataChange"] != false;
        }
    }
    commits
}
