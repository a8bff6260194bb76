//! The fetches of Files: many at a time, in batches where the service answers these.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use copilot_lake_decoder::{Fetched, RawPayload, SourceRow};
use copilot_lake_extractor::{BatchedFile, Dataverse, Error as ServiceError, FileAddress, FileContent};
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::task::JoinSet;

use super::column_failures::ColumnFailures;
use super::named_files::NamedFile;
use crate::error::Error;

/// Requests that are made at the same time; the extractor's own limits are lower.
const REQUESTS_AT_ONCE: usize = 48;

/// After how long it is looked again whether Files have to wait.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// A fetched file. Dropping it returns its bytes to the extractor's budget.
pub(super) struct FetchedFile(pub(super) FileContent);

impl AsRef<[u8]> for FetchedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// What became of a File.
pub(super) struct FetchedPayload {
    pub(super) payload: RawPayload<FetchedFile>,
    /// Whether the service may have it later when it is missing now.
    pub(super) may_come: bool,
}

/// Fetches Files as they complete. Files wait neither for memory nor for the attempts of others once they are fetched.
pub(super) struct FileFetches<'a> {
    fetcher: FileFetcher,
    named: BoxStream<'a, Result<NamedFile, Error>>,
    all_named: bool,
    /// Files that wait for others of their table, to be fetched with them.
    groups: BTreeMap<&'static str, Vec<NamedFile>>,
    /// Files to be fetched by themselves.
    single: VecDeque<NamedFile>,
    /// Each on a task of its own, so that fetches go on while other payloads are decoded and committed.
    requests: JoinSet<Result<Vec<FetchOutcome>, Error>>,
    fetched: VecDeque<FetchedPayload>,
}

/// What a request brought of a File.
enum FetchOutcome {
    Fetched(FetchedPayload),
    /// The File is to be fetched by itself.
    Unfetched(NamedFile),
}

impl<'a> FileFetches<'a> {
    /// Fetches these Files once it is polled.
    pub(super) fn new(
        service: Dataverse,
        failures: ColumnFailures,
        named: impl futures::Stream<Item = Result<NamedFile, Error>> + Send + 'a,
    ) -> Self {
        Self {
            fetcher: FileFetcher { service, failures },
            named: named.boxed(),
            all_named: false,
            groups: BTreeMap::new(),
            single: VecDeque::new(),
            requests: JoinSet::new(),
            fetched: VecDeque::new(),
        }
    }

    /// The next File that was fetched; `None` at the end. Nothing is lost when this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Option<FetchedPayload>, Error> {
        loop {
            if let Some(fetched) = self.fetched.pop_front() {
                return Ok(Some(fetched));
            }
            self.begin_requests();
            let is_held = self.groups.keys().any(|table| self.is_held(table));
            let has_room = self.requests.len() < REQUESTS_AT_ONCE && !is_held;
            tokio::select! {
                biased;
                Some(joined) = self.requests.join_next(), if !self.requests.is_empty() => {
                    for outcome in joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))? {
                        match outcome {
                            FetchOutcome::Fetched(fetched) => self.fetched.push_back(fetched),
                            FetchOutcome::Unfetched(file) => self.single.push_back(file),
                        }
                    }
                }
                named = self.named.try_next(), if has_room && !self.all_named => match named? {
                    Some(file) => self.add(file),
                    None => self.all_named = true,
                },
                // The comparison may take longer than it is waited for.
                () = tokio::time::sleep(LOOKED_AGAIN), if is_held => {}
                else => return Ok(None),
            }
        }
    }

    fn add(&mut self, file: NamedFile) {
        match copilot_lake_tables::table(file.row.table) {
            // One that has failed before is likely to do so again.
            Some(_) if !file.has_failed_before => self.groups.entry(file.row.table).or_default().push(file),
            _ => self.single.push_back(file),
        }
    }

    /// Begins as many requests as there may be: for Files by themselves, for full groups, and for the rest of each group
    /// once no other File is named.
    fn begin_requests(&mut self) {
        while self.requests.len() < REQUESTS_AT_ONCE {
            if let Some(file) = self.single.pop_front() {
                let fetcher = self.fetcher.clone();
                self.requests.spawn(async move { fetcher.fetch(file).await.map(Vec::from_iter) });
                continue;
            }
            let Some(group) = self.next_group() else { return };
            let fetcher = self.fetcher.clone();
            self.requests.spawn(async move { fetcher.fetch_together(group).await });
        }
    }

    /// Whether the Files of a table wait until it is known whether they may be fetched in batches: what is fetched one by one
    /// in the meantime costs more of the service's limits than the moment is worth. Never while nothing else goes on.
    fn is_held(&self, table: &str) -> bool {
        let has_files = self.groups.get(table).is_some_and(|files| !files.is_empty());
        let compares = |table| self.fetcher.service.compares_batches(table);
        has_files && !self.requests.is_empty() && copilot_lake_tables::table(table).is_some_and(compares)
    }

    /// A group that is complete.
    fn next_group(&mut self) -> Option<Vec<NamedFile>> {
        let ready = self.groups.iter().find_map(|(name, files)| {
            let size = copilot_lake_tables::table(name).map_or(1, |table| self.fetcher.service.files_at_once(table));
            let is_full = files.len() >= size || (self.all_named && !files.is_empty());
            (is_full && !self.is_held(name)).then_some((*name, size))
        });
        let (name, size) = ready?;
        let files = self.groups.get_mut(name)?;
        Some(files.drain(..size.min(files.len())).collect())
    }
}

/// Fetches Files. Clones share what they know.
#[derive(Clone)]
struct FileFetcher {
    service: Dataverse,
    failures: ColumnFailures,
}

impl FileFetcher {
    /// Fetches Files of one table in one request; leaves out those whose column may not be read, or is not worth a
    /// request.
    async fn fetch_together(&self, mut files: Vec<NamedFile>) -> Result<Vec<FetchOutcome>, Error> {
        files.retain(|file| !self.failures.is_unreadable(&file.row, true));
        let table = files.first().and_then(|file| copilot_lake_tables::table(file.row.table));
        let (Some(table), true) = (table, files.len() > 1) else {
            return match files.pop() {
                Some(file) => self.fetch(file).await.map(Vec::from_iter),
                None => Ok(Vec::new()),
            };
        };
        let addresses: Vec<_> = files.iter().map(|file| address(table, &file.row)).collect();
        let batch = match self.service.files(&addresses).await {
            // The run ends: nothing is known of these Files.
            Err(ServiceError::Stopped) => return Ok(Vec::new()),
            batch => batch?,
        };
        let outcomes = files.into_iter().zip(batch).filter_map(|(file, batched)| match batched {
            BatchedFile::Fetched(answer) => self.outcome(file, answer).transpose(),
            BatchedFile::Unfetched => Some(Ok(FetchOutcome::Unfetched(file))),
        });
        outcomes.collect()
    }

    /// Fetches a File by itself; `None` when its column may not be read, or is not worth a request.
    async fn fetch(&self, file: NamedFile) -> Result<Option<FetchOutcome>, Error> {
        let table = copilot_lake_tables::table(file.row.table);
        let Some(table) = table.filter(|_| !self.failures.is_unreadable(&file.row, true)) else { return Ok(None) };
        let answer = self.service.file(&address(table, &file.row)).await;
        self.outcome(file, answer)
    }

    /// What the service's answer means for a File; `None`: nothing is known of it.
    fn outcome(
        &self,
        file: NamedFile,
        answer: Result<FileContent, ServiceError>,
    ) -> Result<Option<FetchOutcome>, Error> {
        let NamedFile { row, may_come, has_failed_before } = file;
        let fetched = match answer {
            Ok(file) => {
                let name = file.name.clone();
                match file.declared_size {
                    Some(size) => Fetched::SizeMismatch(FetchedFile(file), name, size),
                    None => Fetched::Bytes(FetchedFile(file), name),
                }
            }
            Err(ServiceError::FileMissing { .. }) => Fetched::Missing,
            Err(ServiceError::FileTooLarge { size, .. }) => Fetched::TooLarge(size),
            // The run ends: nothing is known of this File.
            Err(ServiceError::Stopped) => return Ok(None),
            // No other File can be fetched either.
            Err(error) if error.is_service_wide() => return Err(error.into()),
            // No other File of this column can be fetched.
            Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
                self.failures.refused(&row, &error, true);
                return Ok(None);
            }
            Err(error) => {
                self.failures.failed(&row, &error, has_failed_before);
                let payload = RawPayload { row, fetched: Fetched::Failed(error.without_call()) };
                return Ok(Some(FetchOutcome::Fetched(FetchedPayload { payload, may_come })));
            }
        };
        self.failures.read(&row);
        let payload = RawPayload { row, fetched };
        Ok(Some(FetchOutcome::Fetched(FetchedPayload { payload, may_come })))
    }
}

/// The address of the File that a row names.
pub(super) fn address(table: &'static Table, row: &SourceRow) -> FileAddress {
    let mut key = vec![row.id.clone()];
    if table.key.len() > 1 {
        key.push(row.partition_id.clone());
    }
    FileAddress { table, key, column: row.column, name: row.file_name.clone() }
}
