//! Dataverse: the service, as the pipeline sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use copilot_lake_tables::{Instant, Labels, Table};
use futures::Stream;
use serde::Deserialize;
use url::Url;

use super::change_tracking::{self, TrackedChanges};
use super::dialect::DATAVERSE;
use super::environment::{self, Environment};
use super::file::{self, FileContent};
use super::file_address::FileAddress;
use super::key::{self, JsonRow};
use super::labels::{self, BaseLanguage};
use super::privileges::{self, PrivilegeDepth};
use super::probe::{self, AnyFile};
use super::request;
use super::row_counts;
use super::selection::Selection;
use crate::auth::sign_in::Auth;
use crate::error::Error;
use crate::http::client::{Client, ClientLimits};
use crate::http::concurrency_limit::ConcurrencyLimit;
use crate::http::meter::Meter;
use crate::http::network::Network;
use crate::http::origin::require_secure;
use crate::http::request::Request;
use crate::http::retry::RetryPolicy;
use crate::http::service_clock::local_time;
use crate::page::Page;
use crate::page_stream;
use crate::slice::Slice;

/// Bytes of files in flight: read, or read and not yet dropped by who asked for them.
pub(crate) const FILE_BUDGET: usize = 64 << 20;

/// The documented limit of concurrent requests: more are refused at once.
const MAX_CONCURRENT_REQUESTS: usize = 52;

/// Which environment, as whom, and how much at a time.
#[derive(Debug, Clone)]
pub struct DataverseSettings {
    /// `https://contoso.crm.dynamics.com`; `http://` only to loopback. Its path is not used.
    pub url: Url,
    /// The identity.
    pub auth: Auth,
    /// How it is reached.
    pub network: Network,
    /// Rows per page that are asked for; the service may send fewer. At least 1, and more than 5,000 is cut to it.
    pub page_size: u32,
}

/// A Dataverse environment and one identity in it. Clones share connections, token and limits.
#[derive(Debug, Clone)]
pub struct Dataverse {
    client: Arc<Client>,
    /// `<url>/api/data/v9.2/`.
    api: Url,
    page_size: u32,
    base_language: Arc<BaseLanguage>,
}

/// Who asks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoAmI {
    /// The environment's organization: the instance that a lake belongs to.
    pub organization_id: String,
    /// The application user.
    pub user_id: String,
    /// The service's clock.
    pub service_time: Instant,
}

impl Dataverse {
    /// Prepares everything; nothing is sent yet.
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
            concurrency: ConcurrencyLimit::new(MAX_CONCURRENT_REQUESTS),
            rate_limiter: None,
            budget: FILE_BUDGET,
        };
        let client = Arc::new(Client::new(&DATAVERSE, &api, settings.auth, &settings.network, limits)?);
        Ok(Self { client, api, page_size: settings.page_size.min(5_000), base_language: Arc::default() })
    }

    /// The identity and the environment: the cheapest call that needs both.
    ///
    /// # Errors
    /// Every way in which sign-in or service can refuse.
    pub async fn who_am_i(&self) -> Result<WhoAmI, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Ids {
            organization_id: String,
            user_id: String,
        }
        let mut url = self.api.clone();
        url.set_path("/api/data/v9.2/WhoAmI");
        let ids: Ids = self.client.fetch_json(&Request::json(url), "the answer to WhoAmI is not Dataverse's").await?;
        Ok(WhoAmI {
            organization_id: ids.organization_id,
            user_id: ids.user_id,
            service_time: self.client.clock.now().unwrap_or_else(local_time),
        })
    }

    /// The service's clock: the `Date` of its last answer, advanced by what passed since, never ahead of it.
    ///
    /// # Errors
    /// Those of [`Self::who_am_i`], which is asked when there was no answer yet.
    pub async fn service_time(&self) -> Result<Instant, Error> {
        match self.client.clock.now() {
            Some(now) => Ok(now),
            None => Ok(self.who_am_i().await?.service_time),
        }
    }

    /// The smallest value of a clock in a table; `None` when no row has one. One request, if its page is not empty.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn oldest(&self, table: &'static Table, time_column: &'static str) -> Result<Option<Instant>, Error> {
        let request = request::oldest_request(&self.api, table, time_column)?;
        let value = |row: &JsonRow| Instant::parse(row.get(time_column)?.as_str()?);
        page_stream::find_in_pages(&self.client, &self.api, request, |page| Ok(page.parsed()?.iter().find_map(value)))
            .await
    }

    /// Which of these tables and their columns the environment has, asked by one request. Where the metadata is refused,
    /// the definitions are taken for it: [`Environment::is_assumed`].
    ///
    /// # Errors
    /// Those of sign-in, and [`Error::Unreachable`].
    pub async fn environment(&self, tables: &[&'static Table]) -> Result<Environment, Error> {
        environment::discover(&self.client, &self.api, tables).await
    }

    /// The labels of a table's choice columns: in English, else in the organization's base language. At most four requests.
    ///
    /// # Errors
    /// Every way in which a call can fail.
    pub async fn labels(&self, table: &'static Table) -> Result<Labels, Error> {
        labels::fetch(&self.client, &self.api, table, &self.base_language).await
    }

    /// The rows of each table as the service counted them within the last day; without those that it does not tell.
    ///
    /// # Errors
    /// Those of sign-in, and [`Error::Unreachable`].
    pub async fn total_rows(&self, tables: &[&'static Table]) -> Result<BTreeMap<&'static str, u64>, Error> {
        row_counts::fetch(&self.client, &self.api, tables).await
    }

    /// How far each privilege of a user reaches, by its name in lower case such as `prvreadmsdyn_copilotevent`.
    ///
    /// # Errors
    /// Every way in which a call can fail; [`Error::Usage`] when the id is no GUID.
    pub async fn read_depths(&self, user_id: &str) -> Result<BTreeMap<String, PrivilegeDepth>, Error> {
        privileges::fetch(&self.client, &self.api, user_id).await
    }

    /// A page with one row of a table, to see whether it may be read; `None` when the identity sees no row.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn first_row(&self, table: &'static Table, selection: &Selection) -> Result<Option<Page>, Error> {
        probe::first_row(&self.client, &self.api, table, selection).await
    }

    /// Some row's File in this column, to see whether Files may be read. Where the service cannot filter for it, one page
    /// of rows is looked through.
    ///
    /// # Errors
    /// Those of [`Self::pages`], and [`Error::ColumnSecured`].
    pub async fn any_file(&self, table: &'static Table, column: &'static str) -> Result<AnyFile, Error> {
        probe::any_file(&self.client, &self.api, self.page_size, table, column).await
    }

    /// How many rows one page of a table has, and how many Files they name in these columns.
    ///
    /// # Errors
    /// Those of [`Self::pages`].
    pub async fn count_files(&self, table: &'static Table, columns: &[&'static str]) -> Result<(usize, usize), Error> {
        probe::count_files(&self.client, &self.api, table, columns).await
    }

    /// The pages of a slice, in the order of its clock. The next page is on its way while the last one is handed out,
    /// never more than one ahead. After an error the stream ends. Polled inside a tokio runtime.
    ///
    /// # Errors
    /// Every item can be one; [`Error::call`] says at which page. After [`Error::ColumnMissing`] ask for the slice again,
    /// [`Selection::without`] that column.
    pub fn pages(
        &self,
        slice: &Slice,
        selection: &Selection,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let first = request::slice_request(&self.api, slice, selection, self.page_size);
        page_stream::prefetched(Arc::clone(&self.client), first.map(|request| vec![request]))
    }

    /// The rows whose key begins with one of these ids, as many requests one after the other as their number needs. Ids
    /// that the table does not have, or cannot have, give no row.
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

    /// The keys of the rows that exist among those whose key begins with one of these ids.
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

    /// The rows that were deleted since this token was given, and the next token. Without one the table is read once, key
    /// columns only, for its first token.
    ///
    /// # Errors
    /// [`Error::TokenExpired`]: ask again without it; and those of [`Self::pages`].
    pub async fn deleted(&self, table: &'static Table, token: Option<&str>) -> Result<TrackedChanges, Error> {
        change_tracking::fetch(&self.client, &self.api, self.page_size, table, token).await
    }

    /// The bytes of a File column, at most 32 MiB. Many may be asked for at once: they share the permits, and 64 MiB.
    ///
    /// # Errors
    /// [`Error::FileMissing`], [`Error::FileTooLarge`], and every way in which a call can fail.
    pub async fn file(&self, file: &FileAddress) -> Result<FileContent, Error> {
        file::fetch(&self.client, &self.api, file).await
    }

    /// What was used so far.
    pub fn meter(&self) -> Meter {
        self.client.counters.snapshot()
    }
}
