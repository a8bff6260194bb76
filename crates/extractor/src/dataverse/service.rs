//! The Dataverse service, as seen by the pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use copilot_lake_tables::{Instant, Labels, Table};
use futures::Stream;
use url::Url;

use super::batched_fetch::{self, BatchedFile};
use super::change_tracking::{self, TrackedChanges};
use super::environment::{self, Environment};
use super::file::{self, FileContent};
use super::file_address::FileAddress;
use super::file_batches::FileBatches;
use super::key::{self, JsonRow};
use super::labels::{self, BaseLanguage};
use super::privileges::{self, PrivilegeDepth};
use super::probe::{self, AnyFile};
use super::request;
use super::row_counts;
use super::selection::Selection;
use super::web_api_dialect::DATAVERSE;
use super::who_am_i::{self, WhoAmI};
use crate::auth::sign_in::{Auth, NamedAuth};
use crate::error::Error;
use crate::http::client::Client;
use crate::http::client_limits::ClientLimits;
use crate::http::identities::IdentityUsage;
use crate::http::meter::Meter;
use crate::http::network::Network;
use crate::http::origin::require_secure;
use crate::http::request::{IdentityChoice, Request};
use crate::http::retry::RetryPolicy;
use crate::page::Page;
use crate::page_stream;
use crate::slice::Slice;

/// Bytes of files in memory: being read, or not yet dropped by the caller.
pub(crate) const FILE_BUDGET: usize = 64 << 20;

/// The documented limit of concurrent requests; more are refused at once.
const MAX_CONCURRENT_REQUESTS: usize = 52;

/// Which environment, as whom, and how many rows per page.
#[derive(Debug, Clone)]
pub struct DataverseSettings {
    /// `https://contoso.crm.dynamics.com`; `http://` only to loopback. Its path is not used.
    pub url: Url,
    /// The identity.
    pub auth: Auth,
    /// More of them, which share the requests; each has limits of its own. All must see the same rows.
    pub more_identities: Vec<NamedAuth>,
    /// How it is reached.
    pub network: Network,
    /// Rows per page to request; the service may send fewer. At least 1; values above 5,000 are capped.
    pub page_size: u32,
}

/// A Dataverse environment and the identities that read it. Clones share connections, tokens and limits.
#[derive(Debug, Clone)]
pub struct Dataverse {
    pub(crate) client: Arc<Client>,
    /// `<url>/api/data/v9.2/`.
    api: Url,
    page_size: u32,
    base_language: Arc<BaseLanguage>,
    batches: Arc<FileBatches>,
}

impl Dataverse {
    /// Validates the settings; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Insecure`] and [`Error::Usage`].
    pub fn new(settings: DataverseSettings) -> Result<Self, Error> {
        Self::with_retry_policy(settings, RetryPolicy::documented())
    }

    pub(crate) fn with_retry_policy(settings: DataverseSettings, retry_policy: RetryPolicy) -> Result<Self, Error> {
        require_secure("dataverse.url", &settings.url)?;
        if settings.page_size == 0 {
            return Err(Error::Usage { what: "`dataverse.page_size` must be at least 1".to_owned() });
        }
        let mut api = settings.url;
        api.set_query(None);
        api.set_fragment(None);
        api.set_path("/api/data/v9.2/");
        let limits = ClientLimits {
            retry_policy,
            in_flight: MAX_CONCURRENT_REQUESTS,
            requests_per_second: None,
            budget: FILE_BUDGET,
        };
        let first = NamedAuth { name: "auth".to_owned(), auth: settings.auth };
        let identities = std::iter::once(first).chain(settings.more_identities).collect();
        let client = Arc::new(Client::new(&DATAVERSE, &api, identities, &settings.network, limits)?);
        Ok(Self {
            client,
            api,
            page_size: settings.page_size.min(5_000),
            base_language: Arc::default(),
            batches: Arc::default(),
        })
    }

    /// The identity and the environment: the cheapest call that needs both.
    ///
    /// # Errors
    /// Any error of sign-in or the call.
    pub async fn who_am_i(&self) -> Result<WhoAmI, Error> {
        who_am_i::fetch(&self.client, &self.api, IdentityChoice::Any).await
    }

    /// Signs in as every identity. One that cannot read what the others read of these tables is no longer used: it is
    /// refused, in another organization, the same user as another, sees fewer rows, or does not tell whether it does.
    ///
    /// # Errors
    /// Those of [`Self::who_am_i`], if no identity is accepted.
    pub async fn sign_in(&self, tables: &[&'static Table]) -> Result<WhoAmI, Error> {
        who_am_i::compare(&self.client, &self.api, tables).await
    }

    /// What each of several identities did so far; nothing where there is only one.
    pub fn identities(&self) -> Vec<IdentityUsage> {
        self.client.identities.usage()
    }

    /// The service's time: the `Date` of its last response plus the time since, never ahead of it.
    ///
    /// # Errors
    /// Those of [`Self::who_am_i`], which is called if there was no response yet.
    pub async fn service_time(&self) -> Result<Instant, Error> {
        match self.client.clock.now() {
            Some(now) => Ok(now),
            None => Ok(self.who_am_i().await?.service_time),
        }
    }

    /// The smallest value of a time column; `None` if no row has one. One request, unless its page is empty.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn oldest(&self, table: &'static Table, time_column: &'static str) -> Result<Option<Instant>, Error> {
        let request = request::oldest_request(&self.api, table, time_column)?;
        let value = |row: &JsonRow| Instant::parse(row.get(time_column)?.as_str()?);
        page_stream::find_in_pages(&self.client, &self.api, request, |page| Ok(page.parsed()?.iter().find_map(value)))
            .await
    }

    /// Discovers by one request which of these tables and columns the environment has. If the metadata is refused, the
    /// definitions are assumed to apply: [`Environment::is_assumed`].
    ///
    /// # Errors
    /// Those of sign-in, [`Error::Unreachable`] and [`Error::RetriesExhausted`].
    pub async fn environment(&self, tables: &[&'static Table]) -> Result<Environment, Error> {
        environment::discover(&self.client, &self.api, tables).await
    }

    /// The labels of a table's choice columns: English, otherwise the organization's base language. At most four
    /// requests.
    ///
    /// # Errors
    /// Any error of a call.
    pub async fn labels(&self, table: &'static Table) -> Result<Labels, Error> {
        labels::fetch(&self.client, &self.api, table, &self.base_language).await
    }

    /// The service's row counts, at most a day old; tables it does not count are missing.
    ///
    /// # Errors
    /// Those of sign-in, [`Error::Unreachable`] and [`Error::RetriesExhausted`].
    pub async fn total_rows(&self, tables: &[&'static Table]) -> Result<BTreeMap<&'static str, u64>, Error> {
        row_counts::fetch(&self.client, &self.api, tables).await
    }

    /// How far each privilege of a user reaches, by name in lower case such as `prvreadmsdyn_copilotevent`.
    ///
    /// # Errors
    /// Any error of a call; [`Error::Usage`] if the id is not a GUID.
    pub async fn read_depths(&self, user_id: &str) -> Result<BTreeMap<String, PrivilegeDepth>, Error> {
        // The user is that of the first identity, who may read its own privileges.
        let first = self.client.identities.used().first().copied().unwrap_or_default();
        privileges::fetch(&self.client, &self.api, user_id, IdentityChoice::Only(first)).await
    }

    /// A page with one row, to see whether the table can be read; `None` if the identity sees no row.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn first_row(&self, table: &'static Table, selection: &Selection) -> Result<Option<Page>, Error> {
        probe::first_row(&self.client, &self.api, table, selection).await
    }

    /// Looks for a File in a column, to see whether Files can be read. If the service cannot filter for one, the rows
    /// of one page are searched.
    ///
    /// # Errors
    /// Those of [`Self::pages`], and [`Error::ColumnSecured`].
    pub async fn any_file(&self, table: &'static Table, column: &'static str) -> Result<AnyFile, Error> {
        probe::any_file(&self.client, &self.api, self.page_size, table, column).await
    }

    /// Counts the rows of one page, and the Files that they name in these columns.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn count_files(&self, table: &'static Table, columns: &[&'static str]) -> Result<(usize, usize), Error> {
        probe::count_files(&self.client, &self.api, table, columns).await
    }

    /// The pages of a slice, ordered by its time column. At most one page is prefetched. The stream ends after an
    /// error. Must be polled inside a tokio runtime.
    ///
    /// # Errors
    /// Any item can be one; [`Error::call`] names the page. After [`Error::ColumnMissing`] request the slice again,
    /// [`Selection::without`] that column.
    pub fn pages(
        &self,
        slice: &Slice,
        selection: &Selection,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.slice_pages(slice, selection, false)
    }

    /// As [`Self::pages`], for a slice that has failed before: a page is attempted twice.
    pub fn pages_again(
        &self,
        slice: &Slice,
        selection: &Selection,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.slice_pages(slice, selection, true)
    }

    fn slice_pages(
        &self,
        slice: &Slice,
        selection: &Selection,
        has_failed_before: bool,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let first = request::slice_request(&self.api, slice, selection, self.page_size);
        let first = first.map(|request| vec![Request { has_failed_before, ..request }]);
        page_stream::prefetched(Arc::clone(&self.client), first)
    }

    /// The rows whose key begins with one of these ids, in as many sequential requests as needed. Ids that do not or
    /// cannot exist yield no row.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub fn rows_of(
        &self,
        table: &'static Table,
        ids: &[String],
        selection: &Selection,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let request = |filter: String| {
            let url = request::rows_url(&self.api, table, selection, Some(&filter))?;
            Ok(request::first_page(url, table, self.page_size, selection))
        };
        let calls = key::filters(table, ids).into_iter().map(request).collect();
        page_stream::prefetched(Arc::clone(&self.client), calls)
    }

    /// The keys that exist among those beginning with one of these ids.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn existing(&self, table: &'static Table, ids: &[String]) -> Result<BTreeSet<Vec<String>>, Error> {
        let selection = Selection::key_columns(table);
        let mut found = BTreeSet::new();
        for filter in key::filters(table, ids) {
            let url = request::rows_url(&self.api, table, &selection, Some(&filter))?;
            let request = request::first_page(url, table, self.page_size, &selection);
            let collect = |page: &Page| {
                found.extend(page.parsed::<JsonRow>()?.iter().map(|row| key::from_row(table, row)));
                Ok(None::<()>)
            };
            page_stream::find_in_pages(&self.client, &self.api, request, collect).await?;
        }
        Ok(found)
    }

    /// The rows deleted since a token was issued, and the next token. Without a token the table is read once, key
    /// columns only, to obtain the first. The first identity alone is asked.
    ///
    /// # Errors
    /// [`Error::DeltaTokenExpired`]: repeat without the token; and those of [`Self::pages`].
    pub async fn deleted(&self, table: &'static Table, token: Option<&str>) -> Result<TrackedChanges, Error> {
        change_tracking::fetch(&self.client, &self.api, self.page_size, table, token).await
    }

    /// Why [`Self::deleted`] cannot be called in this run: the first identity, which alone reads deletions, is no longer used.
    pub fn deletions_refused(&self) -> Option<String> {
        self.client.identities.ended(change_tracking::IDENTITY)
    }

    /// Whether an error of [`Self::deleted`] says nothing of other calls, though it would elsewhere: other identities go on.
    pub fn concerns_deletions_alone(&self, error: &Error) -> bool {
        let others_go_on = self.client.identities.used().iter().any(|index| *index != change_tracking::IDENTITY);
        others_go_on && matches!(error, Error::SignInRefused { .. } | Error::Usage { .. } | Error::Paused { .. })
    }

    /// The contents of a File column, at most 32 MiB. Many can be fetched at once: they share the concurrency limit and
    /// 64 MiB of memory.
    ///
    /// # Errors
    /// [`Error::FileMissing`], [`Error::FileTooLarge`], and any error of a call.
    pub async fn file(&self, file: &FileAddress) -> Result<FileContent, Error> {
        if let Some(samples) = self.batches.take_samples(file.table.name) {
            let samples = (file.table.name, samples);
            batched_fetch::compare(&self.client, &self.api, &self.batches, samples).await?;
        }
        let content = file::fetch(&self.client, &self.api, file).await?;
        self.batches.add_sample(file, &content);
        Ok(content)
    }

    /// How many Files of a table are best fetched at once by [`Self::files`]; 1: by [`Self::file`]. It follows what the
    /// service answers.
    pub fn files_at_once(&self, table: &Table) -> usize {
        self.batches.files_at_once(table.name)
    }

    /// Whether it is being found out just now if batches of a table bring the same as single requests.
    pub fn compares_batches(&self, table: &Table) -> bool {
        self.batches.is_comparing(table.name)
    }

    /// The contents of several Files of one table, in their order and in one request. Their memory is that of
    /// [`Self::file`], and is released when the last of them is dropped.
    ///
    /// # Errors
    /// Those because of which no other File can be fetched either.
    pub async fn files(&self, files: &[FileAddress]) -> Result<Vec<BatchedFile>, Error> {
        batched_fetch::fetch(&self.client, &self.api, &self.batches, files).await
    }

    /// Whether a File column holds a file. Its bytes are not read, so a caller who holds files never waits for memory.
    ///
    /// # Errors
    /// Any error of a call.
    pub async fn has_file(&self, file: &FileAddress) -> Result<bool, Error> {
        file::exists(&self.client, &self.api, file).await
    }

    /// Stops all clones: nothing is attempted again, and 8 s later nothing is in flight or requested any more. Calls
    /// that this ends return [`Error::Stopped`].
    pub fn stop(&self) {
        self.client.cancellation.cancel();
    }

    /// From now on, calls are attempted for this long while the service answers nothing at all. Otherwise a call is
    /// given up after ten attempts, or after three if the service was never reached.
    pub fn wait_out_outages(&self, longest: Duration) {
        self.client.wait_out_outages(longest);
    }

    /// Usage so far.
    pub fn meter(&self) -> Meter {
        self.client.identities.meter()
    }
}
