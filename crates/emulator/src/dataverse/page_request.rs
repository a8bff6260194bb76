//! A request for a page of a table, and what pages of rows and pages of changes have in common.

use bytes::Bytes;
use copilot_lake_tables::Instant;

use crate::data::columns::TableView;
use crate::data::table_store::TableStore;
use crate::dataverse::privilege::own_rows;
use crate::dataverse::row_projection::RowProjection;
use crate::dataverse::row_query::RowQuery;
use crate::http::faults::TriggeredFaults;
use crate::http::preferences::Preferences;
use crate::http::response::{HttpResponse, JSON, ServiceError};
use crate::scenario::service_settings::ServiceSettings;

/// A request for rows of a table.
pub(crate) struct PageRequest<'a> {
    pub(crate) store: &'a TableStore,
    pub(crate) view: &'a TableView,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: &'a str,
    /// The query string as it was sent.
    pub(crate) query: &'a str,
    pub(crate) preferences: &'a Preferences,
    pub(crate) faults: &'a TriggeredFaults<'a>,
    pub(crate) settings: &'a ServiceSettings,
    pub(crate) now: Instant,
}

impl PageRequest<'_> {
    /// The query, limited to the caller's own rows where the privilege reaches no further.
    pub(crate) fn parse(&self, base: &str) -> Result<RowQuery, ServiceError> {
        let mut query = RowQuery::parse(base, self.view)?;
        if let Some(own) = own_rows(self.store) {
            query.and(own);
        }
        Ok(query)
    }

    /// The URL of the table.
    pub(crate) fn address(&self) -> String {
        format!("{}{}", self.root, self.store.entity_set)
    }

    /// The projection, unless rows are sent as they are stored.
    pub(crate) fn projection(&self, query: &RowQuery) -> Option<RowProjection<'_>> {
        RowProjection::new(query, self.view, &self.preferences.annotations, &self.store.people)
    }

    /// The largest number of rows on the page.
    pub(crate) fn most(&self) -> usize {
        let most = self.preferences.max_page.unwrap_or(usize::MAX).min(self.settings.max_page.max(1));
        self.faults.most(most)
    }

    /// Assembles the page: `what` ends its context, `link` is the annotation after the rows.
    pub(crate) fn page(
        &self,
        query: &RowQuery,
        what: &str,
        rows: Vec<Bytes>,
        link: Option<(&str, String)>,
    ) -> HttpResponse {
        let (root, set, columns) = (self.root, self.store.entity_set, query.selected());
        let head = format!("{{\"@odata.context\":\"{root}$metadata#{set}{columns}{what}\",\"value\":[");
        let tail = match link {
            Some((name, link)) => {
                let link = serde_json::Value::String(self.faults.elsewhere(link));
                format!("],\"@odata.{name}\":{link}}}")
            }
            None => "]}".to_owned(),
        };
        let frames = std::iter::once(Bytes::from(head)).chain(rows).chain([Bytes::from(tail)]);
        let mut answer = HttpResponse::new(200, JSON, frames);
        let applied = self.preferences.applied();
        if !applied.is_empty() {
            answer.header("preference-applied", &applied);
        }
        answer
    }
}
