//! Looking up keys in the files of a table: first where the rows' times are, then, for those that are not there, everywhere.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering as Relaxed;

use copilot_lake_tables::Table;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::delta::data_file::{DataFile, FileBounds};
use crate::error::Error;
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::new_rows::NewRows;
use crate::merge::pending_rows::{EVER, KeyReader, KeyRow, OPENED, PendingRows, READ};
use crate::parquet::key_probe::KeyProbe;

/// A new row, and a row of the table with the same key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) source: u32,
    pub(crate) position: u32,
    /// The file, by its place in the table.
    pub(crate) file: u32,
    /// The position in the file.
    pub(crate) old: u32,
    /// How the version of the new row compares.
    pub(crate) order: Ordering,
}

/// What a lookup found.
#[derive(Debug, Default)]
pub(crate) struct LookupResult {
    pub(crate) matches: Vec<Match>,
    /// Positions of rows that are to go, by the file's place in the table.
    pub(crate) gone: BTreeMap<usize, Vec<u32>>,
}

/// The files of a table that are searched, each between which times.
type Searched = BTreeMap<usize, (i64, i64)>;

/// Looks up new rows, and rows that are to go.
pub(crate) struct Lookup<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) table: &'static Table,
    pub(crate) sources: &'a [PendingRows],
    pub(crate) files: &'a [Arc<DataFile>],
    pub(crate) gone: &'a DeleteKeys,
}

impl Lookup<'_> {
    /// The rows of the table with the key of a new row, or one that is to go.
    pub(crate) async fn find(&self, new: &NewRows) -> Result<LookupResult, Error> {
        let mut found = LookupResult::default();
        self.search(self.at_their_times(new), &new.sought, new, &mut found).await?;
        if new.any_missing() || self.gone.bounds().any(|bounds| bounds.time.is_none()) {
            let (missing, sought) = self.missing(new).await?;
            let bounds: Vec<&FileBounds> = missing.iter().chain(self.gone.bounds()).collect();
            let may_have = |file: &DataFile| bounds.iter().any(|bounds| bounds.keys_meet(&file.bounds));
            let files = self.files.iter().enumerate().filter(|(_, file)| may_have(file));
            self.search(files.map(|(at, _)| (at, EVER)).collect(), &sought, new, &mut found).await?;
        }
        // Rows of the files that were searched twice.
        found.matches.sort_unstable_by_key(|found| (found.file, found.old));
        found.matches.dedup_by_key(|found| (found.file, found.old));
        Ok(found)
    }

    /// The files that may hold rows of the same weeks and times.
    fn at_their_times(&self, new: &NewRows) -> Searched {
        let mut searched = Searched::new();
        for (at, file) in self.files.iter().enumerate() {
            let of_week = self.sources.iter().zip(&new.times).filter(|(source, _)| source.week() == file.week);
            let rows = of_week.filter_map(|(_, times)| *times);
            let gone = self.gone.bounds().filter_map(|bounds| bounds.time);
            let (low, high) = file.bounds.time.unwrap_or(EVER);
            let common = rows.chain(gone).map(|times| (times.0.max(low), times.1.min(high)));
            let common = common.filter(|(low, high)| low <= high);
            if let Some(times) = common.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
                searched.insert(at, times);
            }
        }
        searched
    }

    /// Between which keys the new rows lie that were not found yet, and what to look for to find them.
    async fn missing(&self, new: &NewRows) -> Result<(Option<FileBounds>, KeyProbe), Error> {
        let mut sought = self.gone.sought().clone();
        let mut bounds = None;
        for source in self.sources {
            let add = |row: KeyRow<'_>| {
                if new.by_key.get(&row.key()).is_some_and(|row| !row.is_found.load(Relaxed::Relaxed)) {
                    let (columns, at) = row.columns();
                    sought.add(columns, at);
                    let bounds = bounds.get_or_insert_with(|| FileBounds::of_keys(self.table.key.len()));
                    bounds.take_in(columns, at);
                }
            };
            source.keys(self.store, self.table, EVER, add).await?;
        }
        Ok((bounds, sought))
    }

    async fn search(
        &self,
        files: Searched,
        sought: &KeyProbe,
        new: &NewRows,
        found: &mut LookupResult,
    ) -> Result<(), Error> {
        let open = |(at, times): (usize, (i64, i64))| async move {
            Ok((at, KeyReader::open(self.store, self.table, &self.files[at], times, Some(sought)).await?))
        };
        let opened: Vec<_> = files.into_iter().map(open).collect();
        let search = |(at, file)| self.search_file(at, file, new);
        let mut searched = stream::iter(opened).buffered(OPENED).map_ok(search).try_buffered(READ);
        while let Some(of_file) = searched.try_next().await? {
            found.matches.extend(of_file.matches);
            for (file, gone) in of_file.gone {
                found.gone.entry(file).or_default().extend(gone);
            }
        }
        Ok(())
    }

    async fn search_file(&self, at: usize, file: KeyReader, new: &NewRows) -> Result<LookupResult, Error> {
        let mut found = LookupResult::default();
        file.for_each(|row| self.look(at, &row, new, &mut found)).await?;
        Ok(found)
    }

    fn look(&self, file: usize, row: &KeyRow<'_>, new: &NewRows, found: &mut LookupResult) {
        let Some(newest) = new.by_key.get(&row.key()) else {
            let (columns, at) = row.columns();
            if self.gone.contains(columns, at, row.time()) {
                found.gone.entry(file).or_default().push(row.position);
            }
            return;
        };
        newest.is_found.store(true, Relaxed::Relaxed);
        found.matches.push(Match {
            source: newest.source,
            position: newest.position,
            file: file as u32,
            old: row.position,
            order: newest.version.compare(row.version()),
        });
    }
}
