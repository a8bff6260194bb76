//! Dataverse: the service, as the pipeline sees it.

use std::sync::Arc;

use copilot_lake_tables::{Instant, Table};
use futures::Stream;
use serde::Deserialize;
use url::Url;

use crate::auth::Auth;
use crate::client::{Answer, Client};
use crate::clock::local_time;
use crate::error::Error;
use crate::files::{self, File, FileAddress};
use crate::link::Links;
use crate::meter::Meter;
use crate::origin::require_secure;
use crate::page::Page;
use crate::pages;
use crate::request::{self, Ask, Kind};
use crate::retry::Patience;
use crate::slice::Slice;

/// Which environment, as whom, and how much at a time.
#[derive(Debug, Clone)]
pub struct DataverseSettings {
    /// `https://contoso.crm.dynamics.com`; `http://` only to loopback. Its path is not used.
    pub url: Url,
    /// The identity.
    pub auth: Auth,
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
        Self::with_patience(settings, Patience::documented())
    }

    pub(crate) fn with_patience(settings: DataverseSettings, patience: Patience) -> Result<Self, Error> {
        require_secure("dataverse.url", &settings.url)?;
        if settings.page_size == 0 {
            return Err(Error::Usage { what: "`dataverse.page_size` must be at least 1".to_owned() });
        }
        let mut api = settings.url;
        api.set_query(None);
        api.set_fragment(None);
        api.set_path("/api/data/v9.2/");
        let client = Arc::new(Client::new(&api, settings.auth, patience)?);
        Ok(Self { client, api, page_size: settings.page_size.min(5_000) })
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
        let ask = Ask { url, kind: Kind::Json, table: None, page: None, page_size: None };
        let accept = |answer: Answer| {
            serde_json::from_slice::<Ids>(&answer.body).map_err(|_| "the answer to WhoAmI is not Dataverse's")
        };
        let (ids, _) = self.client.get(&ask, accept).await?;
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
    pub async fn oldest(&self, table: &'static Table, clock: &'static str) -> Result<Option<Instant>, Error> {
        let mut ask = Ask::first_page(request::oldest_url(&self.api, table, clock)?, table, 1);
        let mut links = Links::new(self.api.clone());
        loop {
            let (page, link) = pages::page(&self.client, &ask).await?;
            let call = ask.call_after(page.requests);
            let Ok(rows) = serde_json::from_slice::<Vec<serde_json::Map<String, serde_json::Value>>>(page.rows())
            else {
                return Err(Error::BadPage { reason: "its rows are not JSON objects".to_owned(), call });
            };
            let mut values = rows.iter().filter_map(|row| row.get(clock)?.as_str());
            match (values.find_map(Instant::parse), link) {
                // Empty pages with a link happen, and rows without a value come first.
                (None, Some(link)) => {
                    ask.url = links.follow(&link, call)?;
                    ask.page = Some(page.number + 1);
                }
                (oldest, _) => return Ok(oldest),
            }
        }
    }

    /// The pages of a slice, in the order of its clock. The next page is on its way while the last one is handed out,
    /// never more than one ahead. After an error the stream ends. Polled inside a tokio runtime.
    ///
    /// # Errors
    /// Every item can be one; [`Error::call`] says at which page.
    pub fn pages(&self, slice: &Slice) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let first = request::slice_url(&self.api, slice);
        let first = first.map(|url| Ask::first_page(url, slice.table, self.page_size));
        pages::pages(Arc::clone(&self.client), first)
    }

    /// What is asked of a table's rows, for the ledger: the service's names of its columns, separated by commas.
    pub fn selection(table: &Table) -> String {
        request::selection(table)
    }

    /// The bytes of a File column, at most 32 MiB. Many may be asked for at once: they share the permits, and 64 MiB.
    ///
    /// # Errors
    /// [`Error::FileMissing`], [`Error::FileTooLarge`], and every way in which a call can fail.
    pub async fn file(&self, file: &FileAddress) -> Result<File, Error> {
        files::fetch(&self.client, &self.api, file).await
    }

    /// What was used so far.
    pub fn meter(&self) -> Meter {
        self.client.counts.read()
    }
}
