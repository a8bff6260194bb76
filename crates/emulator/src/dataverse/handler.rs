//! Calls of the Web API: sign-in and limits first, then what the route asks for.

use hyper::Method;

use crate::data::table_store::Store;
use crate::dataverse::limits::TOO_MANY_AT_ONCE;
use crate::dataverse::metadata::MetadataRequest;
use crate::dataverse::page::PageRequest;
use crate::dataverse::privilege::{missing, privileges};
use crate::dataverse::query::{Preferences, View};
use crate::dataverse::row_request::{FileWanted, RowRequest};
use crate::dataverse::total_count::total_record_count;
use crate::http::due_faults::Due;
use crate::http::response::{Answer, Refusal};
use crate::route::{Key, Route};
use crate::scenario::fault::FaultKind;
use crate::scenario::specs::Depth;
use crate::server::Server;

/// What a request is about, beside its route.
pub(crate) struct Asked<'a> {
    /// `http://host:port`, as the client wrote it.
    pub(crate) origin: String,
    /// Where the emulator listens.
    pub(crate) own_origin: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) application: Option<usize>,
    /// How many requests of the application are being answered, this one included.
    pub(crate) now: u64,
    pub(crate) query: &'a str,
    pub(crate) range: Option<&'a str>,
    pub(crate) preferences: Preferences,
    pub(crate) faults: Due<'a>,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: String,
}

impl Server {
    /// Answers a call of the Web API, and says how many rows the answer has. A refusal with 401 is a challenge.
    pub(crate) fn data(&self, route: &Route, method: &Method, asked: &Asked<'_>) -> Result<(Answer, usize), Refusal> {
        if asked.faults.has(FaultKind::ExpiredToken) {
            self.tokens.expire(asked.authorization);
        }
        if !self.tokens.accept(asked.authorization, &[&asked.origin, asked.own_origin]) {
            return Err(Refusal::new(401, "", ""));
        }
        self.limiter.check(asked.application.unwrap_or_default(), asked.now).inspect_err(|refusal| {
            // Who keeps to what the answers say meets the other limits once: their answer is the news.
            if refusal.code == TOO_MANY_AT_ONCE {
                self.recorder.limit_passed();
            }
        })?;
        if let Some(refusal) = asked.faults.refusal(|kind| self.refusal_of(kind, route)) {
            return Err(refusal);
        }
        if let Some(page) = asked.faults.not_json() {
            return Ok((page, 0));
        }
        if method != Method::GET {
            return Err(Refusal::new(405, "0x80060888", "The emulator's tables can be read only."));
        }
        self.routed(route, asked).inspect_err(|refusal| {
            if refusal.unlisted {
                self.recorder.column_unlisted();
            }
        })
    }

    fn routed(&self, route: &Route, asked: &Asked<'_>) -> Result<(Answer, usize), Refusal> {
        match route {
            Route::WhoAmI => Ok((who_am_i(&asked.root), 0)),
            Route::Organizations => Ok((organizations(&asked.root, self.settings.base_language), 0)),
            Route::Page(name) => {
                let store = self.store(name)?;
                self.page_request(store, &store.view(), asked).answer()
            }
            Route::Count(name) => {
                let store = self.store(name)?;
                self.page_request(store, &store.view(), asked).count().map(|answer| (answer, 0))
            }
            Route::Row(name, key) => {
                let store = self.store(name)?;
                row_request(store, key, asked).row(&store.rows()).map(|answer| (answer, 0))
            }
            Route::Property { table, key, name, value } => {
                let store = self.store(table)?;
                let request = row_request(store, key, asked);
                let wanted = FileWanted { range: asked.range, ranges: self.settings.ranges, now: self.clock.now() };
                let (answer, file) = request.property(&store.rows(), name, *value, &wanted)?;
                if file {
                    self.recorder.payload();
                }
                Ok((answer, 0))
            }
            Route::Metadata(parts) => {
                let language = self.settings.language;
                let request =
                    MetadataRequest { stores: &self.stores, parts, query: asked.query, root: &asked.root, language };
                request.answer().map(|answer| (answer, 0))
            }
            Route::Privileges(user) => privileges(&self.stores, user, &asked.root).map(|answer| (answer, 0)),
            Route::TotalCount(call) => {
                let counts_elastic = self.settings.elastic_count;
                let answer = total_record_count(&self.stores, call, asked.query, &asked.root, counts_elastic);
                answer.map(|answer| (answer, 0))
            }
            Route::Root => Ok((self.service_document(&asked.root), 0)),
            Route::Unknown(name) => Err(Refusal::no_segment(name)),
            _ => Err(Refusal::new(404, "", &format!("No HTTP resource was found at {}.", asked.origin))),
        }
    }

    /// A table that is there and may be read.
    fn store(&self, name: &str) -> Result<&Store, Refusal> {
        let store = self.stores.iter().find(|store| store.table.name == name);
        let store = store.ok_or_else(|| Refusal::no_segment(name))?;
        match (store.absent, store.depth) {
            (true, _) => Err(Refusal::no_segment(store.entity_set)),
            (false, Depth::None) => Err(missing(name, store.type_code())),
            (false, Depth::Basic | Depth::Global) => Ok(store),
        }
    }

    fn page_request<'a>(&'a self, store: &'a Store, view: &'a View, asked: &'a Asked<'_>) -> PageRequest<'a> {
        PageRequest {
            store,
            view,
            root: &asked.root,
            query: asked.query,
            preferences: &asked.preferences,
            faults: &asked.faults,
            settings: &self.settings,
            now: self.clock.now(),
        }
    }

    fn service_document(&self, root: &str) -> Answer {
        let sets =
            self.stores.iter().filter(|store| !store.absent).map(
                |store| serde_json::json!({ "name": store.entity_set, "kind": "EntitySet", "url": store.entity_set }),
            );
        let sets: Vec<_> = sets.collect();
        let body = serde_json::json!({ "@odata.context": format!("{root}$metadata"), "value": sets });
        Answer::json(200, body.to_string())
    }

    /// The refusal that a fault is, when it is one.
    pub(crate) fn refusal_of(&self, fault: FaultKind, route: &Route) -> Option<Refusal> {
        let (status, code, message) = match fault {
            FaultKind::Unauthorized => (401, "", ""),
            FaultKind::NoPrivilege => {
                // Calls about no table fail for that of the first.
                let about = |store: &&Store| route.table().is_none_or(|name| store.table.name == name);
                let store = self.stores.iter().find(about)?;
                return Some(missing(store.table.name, store.type_code()));
            }
            FaultKind::NoMember => (403, "0x80072560", "The user is not a member of the organization."),
            FaultKind::Timeout => (408, "0x80044151", "SQL timeout expired."),
            FaultKind::TooManyRequests => {
                (429, "0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
            }
            FaultKind::Internal => (500, "0x80040216", "An unexpected error occurred."),
            FaultKind::Unavailable => (503, "", "The service is unavailable."),
            _ => return None,
        };
        Some(Refusal::new(status, code, message))
    }
}

fn row_request<'a>(store: &'a Store, key: &'a Key, asked: &'a Asked<'_>) -> RowRequest<'a> {
    RowRequest { store, key, query: asked.query, preferences: &asked.preferences, root: &asked.root }
}

/// The organization, as far as it is asked for.
fn organizations(root: &str, language: i32) -> Answer {
    let body = serde_json::json!({
        "@odata.context": format!("{root}$metadata#organizations(languagecode)"),
        "value": [{ "languagecode": language, "organizationid": crate::ORGANIZATION_ID }],
    });
    Answer::json(200, body.to_string())
}

fn who_am_i(root: &str) -> Answer {
    let body = serde_json::json!({
        "@odata.context": format!("{root}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse"),
        "BusinessUnitId": crate::UNIT_ID,
        "UserId": crate::USER_ID,
        "OrganizationId": crate::ORGANIZATION_ID,
    });
    Answer::json(200, body.to_string())
}
