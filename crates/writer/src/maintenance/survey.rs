//! What happens to the tables when a run starts: the survey of which exist and can be written, their preparation, and
//! the repair of missing files. A table that cannot be written stops no other.

use std::sync::Arc;

use copilot_lake_tables::{Instant, TABLES, Table};

use crate::delta::commit_info::NewestCommit;
use crate::delta::data_file::DataFile;
use crate::delta::instance::Instance;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::adapt::{adapt, check};
use crate::maintenance::lost::LostRows;
use crate::maintenance::migrate;
use crate::maintenance::orphan_files;
use crate::merge::dedupe;
use crate::storage::listing;
use crate::storage::paths;

/// The name of the note about lost rows.
const LOST: &str = "lost";

/// The state of a lake's tables, by their logs.
#[derive(Debug, Default)]
pub struct Survey {
    /// Tables that do not exist.
    pub absent: Vec<Absent>,
    /// Tables that cannot be written, and why.
    pub stopped: Vec<(&'static Table, Error)>,
    /// Whether any table has rows.
    pub has_rows: bool,
}

/// A table that does not exist.
#[derive(Debug)]
pub struct Absent {
    /// The table.
    pub table: &'static Table,
    /// A file that is in its folder all the same.
    pub file: Option<String>,
    /// Whether all such files have names that only this program makes.
    pub is_own: bool,
}

impl Absent {
    /// The error that the files in its folder belong to somebody else, if there are any.
    pub fn not_a_table(&self, lake: &Lake) -> Option<Error> {
        let (folder, table) = (paths::table_url(&lake.inner.storage.url, self.table), self.table.name);
        let folder = folder.to_file_path().map_or_else(|()| folder.to_string(), |path| path.display().to_string());
        self.file.clone().map(|file| Error::NotATable { table, folder, file })
    }
}

impl Lake {
    /// Reads every log again. Nothing is written.
    ///
    /// # Errors
    /// [`Error::OtherInstance`] and [`Error::NewerLake`]; reading the store.
    pub async fn survey(&self, instance: &Instance) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for &table in TABLES {
            match self.inner.log(table).reload().await {
                Ok(Some(snapshot)) => {
                    check(table, &snapshot, instance)?;
                    survey.has_rows |= !snapshot.files.is_empty();
                    if let Err(error) = fits(&self.inner.log(table), &snapshot) {
                        survey.stopped.push((table, error));
                    }
                }
                Ok(None) => survey.absent.push(self.absent(table).await?),
                Err(error) if error.stops_table().is_some() || matches!(error, Error::Log { .. }) => {
                    survey.stopped.push((table, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(survey)
    }

    async fn absent(&self, table: &'static Table) -> Result<Absent, Error> {
        let listed = listing::list(&self.inner.storage, table).await?;
        let mut files = listed.iter().filter(|file| !file.is_log && !paths::is_hidden(&file.name)).peekable();
        let file = files.peek().map(|file| file.path.clone());
        Ok(Absent { table, file, is_own: files.all(|file| paths::is_own_data_file(&file.name)) })
    }

    /// Prepares tables for a run that holds the lock: creates missing ones, adds missing columns, and deletes orphan
    /// files where there may be some. Returns tables that cannot be written, which are left alone.
    ///
    /// `lists`: list their folders in any case, as after a run that was killed; else only after another tool's commit,
    /// and where the folder of a week is missing.
    pub async fn ready(
        &self,
        instance: &Instance,
        tables: &[&'static Table],
        lists: bool,
    ) -> Result<Vec<(&'static Table, Error)>, Error> {
        let mut stopped = Vec::new();
        for &table in tables {
            match self.ready_one(instance, table, lists).await {
                Ok(()) => {}
                // The next run repairs what another writer kept this one from repairing.
                Err(error @ Error::Contended { .. }) => stopped.push((table, error)),
                Err(error) if error.stops_table() == Some(table.name) => stopped.push((table, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(stopped)
    }

    async fn ready_one(&self, instance: &Instance, table: &'static Table, lists: bool) -> Result<(), Error> {
        let log = self.inner.log(table);
        let Some(snapshot) = log.snapshot().await? else {
            return log.create(instance, &self.inner.storage.url, []).await;
        };
        // Tables without partitions are one folder, cheap to list, and are written when a run ends: orphans of that are
        // found now.
        let lists = lists || !table.is_partitioned();
        let newest = log.newest(&snapshot).await?;
        if newest != NewestCommit::Clean || lists || self.lacks_a_folder(&snapshot) {
            let missing = orphan_files::remove(&self.inner.storage, &log).await?;
            if !missing.is_empty() {
                return Err(damaged(table, &missing, snapshot.files.len()));
            }
        }
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        migrate::migrate(&self.inner.storage, &log, schema::version(&snapshot.metadata)).await?;
        if newest == NewestCommit::Foreign {
            dedupe::remove_duplicates(&self.inner.storage, &log).await?;
        }
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        adapt(&log, snapshot, instance).await
    }

    /// Whether the folder of a week that should have files is missing on the local disk.
    fn lacks_a_folder(&self, snapshot: &Snapshot) -> bool {
        let Some(root) = &self.inner.storage.root else { return false };
        let mut folders: Vec<_> = snapshot.files.iter().map(|file| paths::folder(&file.path)).collect();
        folders.sort_unstable();
        folders.dedup();
        folders.iter().any(|folder| !root.join(folder.as_ref()).exists())
    }

    /// [`Lake::survey`] and [`Lake::ready`], for callers that need every table.
    ///
    /// # Errors
    /// That of the first table that cannot be written.
    pub async fn prepare(&self, instance: &Instance, lists: bool) -> Result<(), Error> {
        let Survey { absent, mut stopped, .. } = self.survey(instance).await?;
        stopped.extend(absent.iter().filter_map(|absent| Some((absent.table, absent.not_a_table(self)?))));
        if stopped.is_empty() {
            stopped = self.ready(instance, TABLES, lists).await?;
        }
        stopped.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Checks a table's folder for all files that its log names.
    ///
    /// # Errors
    /// [`Error::Damaged`] when some are missing; reading the log or the store.
    pub async fn check_files(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        let missing = orphan_files::missing(&self.inner.storage, &log).await?;
        let files = log.snapshot().await?.map_or(0, |snapshot| snapshot.files.len());
        if missing.is_empty() { Ok(()) } else { Err(damaged(table, &missing, files)) }
    }

    /// Removes missing files from a table, or creates a missing table, and notes in the same commit what must be read
    /// again. `found`: the run that found it, and its start. `false`: nothing was missing.
    ///
    /// # Errors
    /// [`Error::NotATable`] when its folder holds files of somebody else; reading or writing the log.
    pub async fn repair(
        &self,
        instance: &Instance,
        table: &'static Table,
        found: (&str, Instant),
    ) -> Result<bool, Error> {
        let log = self.inner.log(table);
        if log.snapshot().await?.is_none() {
            let absent = self.absent(table).await?;
            if let (false, Some(error)) = (absent.is_own, absent.not_a_table(self)) {
                return Err(error);
            }
            let is_left = |file: &&listing::ListedFile| !file.is_log && paths::is_own_data_file(&file.name);
            for file in listing::list(&self.inner.storage, table).await?.iter().filter(is_left) {
                orphan_files::delete(&self.inner.storage, &file.path).await?;
            }
            let note = (LOST.to_owned(), LostRows::everything(found).text());
            log.create(instance, &self.inner.storage.url, [note]).await?;
            return Ok(true);
        }
        let missing = orphan_files::missing(&self.inner.storage, &log).await?;
        let is_missing = !missing.is_empty();
        if is_missing {
            self.note_lost(&log, LostRows::from_files(table, &missing, found), &missing).await?;
        }
        Ok(is_missing)
    }

    /// Notes that all rows of a table must be read again.
    pub async fn read_again(&self, table: &'static Table, found: (&str, Instant)) -> Result<(), Error> {
        self.note_lost(&self.inner.log(table), LostRows::everything(found), &[]).await
    }

    async fn note_lost(&self, log: &Log, lost: LostRows, files: &[Arc<DataFile>]) -> Result<(), Error> {
        const ATTEMPTS: usize = 5;
        let _writing = log.writing.lock().await;
        for _ in 0..ATTEMPTS {
            let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
            let mut configuration = snapshot.metadata.configuration().clone();
            let key = format!("{}{LOST}", schema::NOTE);
            let before = configuration.get(&key).map(|text| LostRows::parse(text));
            configuration.insert(key, lost.clone().and(before).text());
            let changed = schema::changed(log.table, &snapshot.metadata, &configuration)?;
            let metadata = changed.unwrap_or_else(|| snapshot.metadata.clone());
            let files = snapshot.files.iter().filter(|file| files.iter().any(|missing| missing.path == file.path));
            if log.remove_missing(&snapshot, &files.cloned().collect::<Vec<_>>(), metadata).await? {
                return Ok(());
            }
        }
        Err(Error::Contended { table: log.table.name, attempts: ATTEMPTS })
    }

    /// The lost rows of a table that were not read again yet.
    pub async fn lost(&self, table: &'static Table) -> Result<Option<LostRows>, Error> {
        Ok(self.notes(table).await?.get(LOST).map(|text| LostRows::parse(text)))
    }

    /// Notes that all lost rows of a table were read again.
    pub async fn recovered(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        let _writing = log.writing.lock().await;
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        let mut configuration = snapshot.metadata.configuration().clone();
        if configuration.remove(&format!("{}{LOST}", schema::NOTE)).is_some()
            && let Some(metadata) = schema::changed(table, &snapshot.metadata, &configuration)?
        {
            // If another tool commits first, the next run reads them once more.
            log.set_metadata(&snapshot, metadata).await?;
        }
        Ok(())
    }
}

/// Checks that a table's protocol and schema are what this program writes.
fn fits(log: &Log, snapshot: &Snapshot) -> Result<(), Error> {
    log.check_writable(snapshot)?;
    schema::changed(log.table, &snapshot.metadata, snapshot.metadata.configuration()).map(drop)
}

/// The error about missing files of a table.
fn damaged(table: &'static Table, missing: &[Arc<DataFile>], files: usize) -> Error {
    let mut weeks: Vec<_> = missing.iter().filter_map(|file| file.week).collect();
    weeks.sort_unstable();
    weeks.dedup();
    let of_weeks = match weeks.as_slice() {
        [] => String::new(),
        [week] => format!(" of the week {week}"),
        [first, .., last] => format!(" of {} weeks from {first} to {last}", weeks.len()),
    };
    let first = missing.first().map(|file| file.path.to_string()).unwrap_or_default();
    let what = format!("{} of its {files} files are not there or cut{of_weeks}, {first} for one", missing.len());
    Error::Damaged { table: table.name, what }
}
