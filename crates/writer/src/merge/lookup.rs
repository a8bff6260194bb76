//! Looking up keys in the files of a table: first in files with the same times, then, for keys not found there, in all
//! others.

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
use crate::merge::key_reader::{KeyReader, KeyRow};
use crate::merge::new_rows::NewRows;
use crate::merge::pending_rows::PendingRows;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::{ALL_TIMES, CONCURRENT_OPENS, CONCURRENT_READS};

/// A new row, and a row of the table with the same key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) input: u32,
    pub(crate) position: u32,
    /// The file, by its index in the snapshot.
    pub(crate) file: u32,
    /// The position in that file.
    pub(crate) row: u32,
    /// How the new row's version compares to the table's.
    pub(crate) order: Ordering,
}

/// What a lookup found.
#[derive(Debug, Default)]
pub(crate) struct LookupResult {
    pub(crate) matches: Vec<Match>,
    /// Positions of rows to be deleted, by the file's index in the snapshot.
    pub(crate) deleted: BTreeMap<usize, Vec<u32>>,
}

/// The files to search, each with the bounds of times.
type Searched = BTreeMap<usize, (i64, i64)>;

/// Looks up new rows, and rows to be deleted.
pub(crate) struct Lookup<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) table: &'static Table,
    pub(crate) inputs: &'a [PendingRows],
    pub(crate) files: &'a [Arc<DataFile>],
    pub(crate) delete_keys: &'a DeleteKeys,
}

impl Lookup<'_> {
    /// Finds the table's rows with the key of a new row, and those to be deleted.
    pub(crate) async fn find(&self, new: &NewRows) -> Result<LookupResult, Error> {
        let mut found = LookupResult::default();
        self.search(self.at_their_times(new), &new.probe, new, &mut found).await?;
        if new.any_missing() || self.delete_keys.bounds().any(|bounds| bounds.time.is_none()) {
            let (missing, probe) = self.missing(new).await?;
            let bounds: Vec<&FileBounds> = missing.iter().chain(self.delete_keys.bounds()).collect();
            let may_have = |file: &DataFile| bounds.iter().any(|bounds| bounds.keys_overlap(&file.bounds));
            let files = self.files.iter().enumerate().filter(|(_, file)| may_have(file));
            self.search(files.map(|(at, _)| (at, ALL_TIMES)).collect(), &probe, new, &mut found).await?;
        }
        // Some files were searched twice.
        found.matches.sort_unstable_by_key(|found| (found.file, found.row));
        found.matches.dedup_by_key(|found| (found.file, found.row));
        Ok(found)
    }

    /// The files that may hold rows with the same weeks and times as the new ones.
    fn at_their_times(&self, new: &NewRows) -> Searched {
        let mut searched = Searched::new();
        for (at, file) in self.files.iter().enumerate() {
            let of_week = self.inputs.iter().zip(&new.times).filter(|(input, _)| input.week() == file.week);
            let rows = of_week.filter_map(|(_, times)| *times);
            let deleted = self.delete_keys.bounds().filter_map(|bounds| bounds.time);
            let (low, high) = file.bounds.time.unwrap_or(ALL_TIMES);
            let common = rows.chain(deleted).map(|times| (times.0.max(low), times.1.min(high)));
            let common = common.filter(|(low, high)| low <= high);
            if let Some(times) = common.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
                searched.insert(at, times);
            }
        }
        searched
    }

    /// The key bounds of the new rows that were not found yet, and the probe that finds them.
    async fn missing(&self, new: &NewRows) -> Result<(Option<FileBounds>, KeyProbe), Error> {
        let mut probe = self.delete_keys.probe().clone();
        let mut bounds = None;
        for (input, positions) in self.inputs.iter().zip(new.missing_positions()) {
            if positions.is_empty() {
                continue;
            }
            let add = |row: KeyRow<'_>| {
                if positions.binary_search(&row.position).is_ok() {
                    let (columns, at) = row.columns();
                    probe.add(columns, at);
                    let bounds = bounds.get_or_insert_with(|| FileBounds::of_keys(self.table.key.len()));
                    bounds.extend(columns, at);
                }
            };
            input.keys(self.store, self.table, ALL_TIMES, add).await?;
        }
        Ok((bounds, probe))
    }

    async fn search(
        &self,
        files: Searched,
        probe: &KeyProbe,
        new: &NewRows,
        found: &mut LookupResult,
    ) -> Result<(), Error> {
        let open = |(at, times): (usize, (i64, i64))| async move {
            Ok((at, KeyReader::open(self.store, self.table, &self.files[at], times, Some(probe)).await?))
        };
        let opened: Vec<_> = files.into_iter().map(open).collect();
        let search = |(at, file)| self.search_file(at, file, new);
        let mut searched =
            stream::iter(opened).buffered(CONCURRENT_OPENS).map_ok(search).try_buffered(CONCURRENT_READS);
        while let Some(of_file) = searched.try_next().await? {
            found.matches.extend(of_file.matches);
            for (file, deleted) in of_file.deleted {
                found.deleted.entry(file).or_default().extend(deleted);
            }
        }
        Ok(())
    }

    async fn search_file(&self, at: usize, file: KeyReader, new: &NewRows) -> Result<LookupResult, Error> {
        let mut found = LookupResult::default();
        file.for_each(|row| self.match_row(at, &row, new, &mut found)).await?;
        Ok(found)
    }

    /// Notes a row of the table that has the key of a new row, or is to be deleted.
    fn match_row(&self, file: usize, row: &KeyRow<'_>, new: &NewRows, found: &mut LookupResult) {
        let Some(newest) = new.by_key.get(&row.key()) else {
            let (columns, at) = row.columns();
            if self.delete_keys.contains(columns, at, row.time()) {
                found.deleted.entry(file).or_default().push(row.position);
            }
            return;
        };
        newest.is_found.store(true, Relaxed::Relaxed);
        found.matches.push(Match {
            input: newest.input,
            position: newest.position,
            file: file as u32,
            row: row.position,
            order: newest.version.compare(row.version()),
        });
    }
}
