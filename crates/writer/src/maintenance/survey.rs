//! The survey of a lake: which tables exist and can be written. Nothing is written.

use std::sync::Arc;

use copilot_lake_tables::{TABLES, Table};
use futures::{StreamExt as _, stream};

use crate::delta::data_file::DataFile;
use crate::delta::instance::Instance;
use crate::delta::log::Log;
use crate::delta::removed_file::expect_removed;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::adapt::check;
use crate::maintenance::table_folder::{damaged, missing};
use crate::parquet::reader::{CONCURRENT_OPENS, FileReader};
use crate::storage::listing;
use crate::storage::paths;

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
    /// A file that is in its folder nevertheless.
    pub file: Option<String>,
    /// Whether all such files have names that only this program makes.
    pub is_own: bool,
}

impl Absent {
    /// The error that its folder holds files that are not the lake's, if there are any.
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
                    let is_own = schema::foreign_reason(table, &snapshot.metadata).is_none();
                    survey.has_rows |= is_own && !snapshot.files.is_empty();
                    if let Err(error) = check_definition(&self.inner.log(table), &snapshot) {
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

    /// What the folder of a table without a log holds.
    pub(crate) async fn absent(&self, table: &'static Table) -> Result<Absent, Error> {
        let listed = listing::list(&self.inner.storage, &paths::table(table)).await?;
        let mut files = listed.iter().filter(|file| !file.is_log && !paths::is_hidden(&file.name)).peekable();
        let file = files.peek().map(|file| file.path.clone());
        Ok(Absent { table, file, is_own: files.all(|file| paths::is_own_data_file(&file.name)) })
    }

    /// Checks that a table may be written, by its log; one that does not exist may be.
    ///
    /// # Errors
    /// [`Error::RaisedProtocol`] when another tool has changed it, or it is somebody else's; reading the log.
    pub async fn check_writable(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        log.snapshot().await?.map_or(Ok(()), |snapshot| log.check_writable(&snapshot))
    }

    /// Checks that a table's folder has all files that its log names.
    ///
    /// # Errors
    /// [`Error::Damaged`] when some are missing; reading the log or the store.
    pub async fn check_files(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        let missing = missing(&self.inner.storage, &log).await?;
        let files = log.snapshot().await?.map_or(0, |snapshot| snapshot.files.len());
        if missing.is_empty() { Ok(()) } else { Err(damaged(table, &missing, files)) }
    }

    /// Checks that each file of a table has as many rows as its log says. Reads the footers of all.
    ///
    /// # Errors
    /// [`Error::Parquet`] of the first file that cannot be opened or has other rows; reading the log.
    pub async fn check_rows(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        let _reading = log.readers.register();
        let store = &self.inner.storage.store;
        let open = |file: Arc<DataFile>| async move { FileReader::open(store, &file).await.map(drop) };
        let mut opened = stream::iter(log.files().await?).map(open).buffered(CONCURRENT_OPENS);
        while let Some(opened) = opened.next().await {
            match opened {
                Ok(()) => {}
                // A command that is running may have removed it since.
                Err(error) => expect_removed(&log, error).await?,
            }
        }
        Ok(())
    }
}

/// Checks that a table's protocol and schema are what this program writes.
fn check_definition(log: &Log, snapshot: &Snapshot) -> Result<(), Error> {
    log.check_writable(snapshot)?;
    schema::changed(log.table, &snapshot.metadata, snapshot.metadata.configuration()).map(drop)
}
