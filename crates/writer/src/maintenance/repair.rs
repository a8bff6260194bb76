//! Repair of damaged tables: missing files are removed from the log, which remembers their rows until they have been
//! read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use copilot_lake_tables::{Instant, Table};

use crate::delta::data_file::DataFile;
use crate::delta::instance::Instance;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::COMMIT_ATTEMPTS;
use crate::maintenance::lost::LostRows;
use crate::maintenance::table_folder::missing;
use crate::storage::listing;
use crate::storage::paths;
use crate::storage::recovery::delete;

/// The name of the note about lost rows.
const LOST: &str = "lost";

impl Lake {
    /// Removes missing files from a table's log, or creates a missing table, and notes in the same commit what must be
    /// read again. `found`: the run that found the damage, and its start. `false`: nothing was missing.
    ///
    /// # Errors
    /// [`Error::NotATable`] when its folder holds files that are not the lake's; reading or writing the log.
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
            let is_own_file = |file: &&listing::ListedFile| !file.is_log && paths::is_own_data_file(&file.name);
            for file in listing::list(&self.inner.storage, &paths::table(table)).await?.iter().filter(is_own_file) {
                delete(&self.inner.storage, &file.path).await?;
            }
            let note = (LOST.to_owned(), LostRows::everything(found).text());
            log.create(instance, &self.inner.storage.url, [note]).await?;
            return Ok(true);
        }
        let missing = missing(&self.inner.storage, &log).await?;
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
        let _writing = log.writing.lock().await;
        for _ in 0..COMMIT_ATTEMPTS {
            let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
            let mut configuration = snapshot.metadata.configuration().clone();
            let key = format!("{}{LOST}", schema::NOTE_PREFIX);
            let before = configuration.get(&key).map(|text| LostRows::parse(text));
            configuration.insert(key, lost.clone().union(before).text());
            let changed = schema::changed(log.table, &snapshot.metadata, &configuration)?;
            let metadata = changed.unwrap_or_else(|| snapshot.metadata.clone());
            let files = snapshot.files.iter().filter(|file| files.iter().any(|missing| missing.path == file.path));
            if log.remove_missing(&snapshot, &files.cloned().collect::<Vec<_>>(), metadata).await? {
                return Ok(());
            }
        }
        Err(Error::Contended { table: log.table.name, attempts: COMMIT_ATTEMPTS })
    }

    /// The lost rows of a table that have not been read again yet.
    pub async fn lost(&self, table: &'static Table) -> Result<Option<LostRows>, Error> {
        Ok(self.notes(table).await?.get(LOST).map(|text| LostRows::parse(text)))
    }

    /// Notes that all lost rows of a table have been read again. If another tool commits at the same time, the next run
    /// reads them once more.
    pub async fn recovered(&self, table: &'static Table) -> Result<(), Error> {
        self.remove_notes(table, &BTreeSet::from([LOST.to_owned()])).await
    }
}
