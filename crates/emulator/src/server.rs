//! Requests: faults first, then sign-in and limits, then the answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HOST, RANGE, RETRY_AFTER};
use hyper::{Method, Request, Response};

use crate::Error;
use crate::address::RowRequest;
use crate::clock::{Clock, http_date};
use crate::fault::{FaultKind, FaultSpec, Faults};
use crate::fields::Fields;
use crate::limits::Limiter;
use crate::page::PageRequest;
use crate::query::Preferences;
use crate::random::guid_text;
use crate::reply::{Answer, Cut, Refusal, Reply};
use crate::route::{Route, decode};
use crate::scenario::{Phase, ServiceSettings};
use crate::served::{Recorder, Served, TableServed};
use crate::store::Store;
use crate::token::{Tokens, challenge};

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) stores: Vec<Store>,
    pub(crate) settings: ServiceSettings,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Faults,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) phases: Mutex<VecDeque<Phase>>,
}

/// No answer: the connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("reset by the scenario")]
pub(crate) struct Reset;

/// What a request is about, beside its route.
struct Asked<'a> {
    host: &'a str,
    query: &'a str,
    range: Option<&'a str>,
    preferences: Preferences,
    faults: Vec<&'a FaultSpec>,
    root: String,
}

impl Server {
    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
        let route = Route::of(request.uri().path());
        let own = matches!(route, Route::Served | Route::Requests | Route::Rows(_) | Route::Advance);
        if own {
            return Ok(self.answer_own(&route, request.method()).into_response(None, None));
        }
        let (guard, now) = self.recorder.begin();
        let (parts, body) = request.into_parts();
        let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let query = parts.uri.query().unwrap_or("");
        let host = text(HOST).unwrap_or("127.0.0.1");
        let kind = route.kind();
        let decoded = decode(url);
        let follows_link = decoded.contains("$skiptoken=");
        let faults = self.faults.due(kind, route.table(), &decoded, follows_link);
        let has = |kind: FaultKind| faults.iter().any(|fault| fault.kind == kind);
        if !matches!(route, Route::Token { .. }) {
            self.recorder.arrival();
        }
        let slow = faults.iter().filter(|fault| fault.kind == FaultKind::Slow).map(|fault| fault.ms).sum::<u64>();
        if slow + self.settings.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(slow + self.settings.latency_ms)).await;
        }
        if has(FaultKind::Reset) {
            self.recorder.end(kind, parts.method.as_str(), url, 0, 0, None);
            return Err(Reset);
        }
        let cut = match () {
            () if has(FaultKind::CutBody) => Some(Cut::Length),
            () if has(FaultKind::CutChunked) => Some(Cut::Chunked),
            () => None,
        };
        let gzip = self.settings.gzip && text(ACCEPT_ENCODING).is_some_and(|accepted| accepted.contains("gzip"));
        let version = parts.uri.path().split('/').nth(3).filter(|part| part.starts_with('v')).unwrap_or("v9.2");
        let prefer = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let asked = Asked {
            host,
            query,
            range: text(RANGE),
            preferences: Preferences::parse(prefer),
            faults,
            root: format!("http://{host}/api/data/{version}/"),
        };
        let (mut answer, rows) = match &route {
            Route::Token { tenant } => {
                let form = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                (self.token(tenant, &parts.method, &form, &asked), 0)
            }
            _ => match self.data(&route, &parts.method, text(AUTHORIZATION), now, &asked) {
                Ok(answered) => answered,
                Err(refusal) if refusal.status == 401 => (challenge(host), 0),
                Err(refusal) => (refusal.into_answer(), 0),
            },
        };
        let retry_after = answer.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
        let retry_after = retry_after.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
        self.recorder.end(kind, parts.method.as_str(), url, answer.status, rows, retry_after);
        if gzip && answer.status == 200 {
            compress(&mut answer);
        }
        answer.header(DATE, &http_date(self.clock.now()));
        if answer.status == 200 {
            answer.header("odata-version", "4.0");
        }
        answer.header("x-ms-service-request-id", &guid_text(self.recorder.moment()));
        answer.header("x-ms-dop-hint", &self.settings.dop_hint.to_string());
        Ok(answer.into_response(cut, Some(guard)))
    }

    fn token(&self, tenant: &str, method: &Method, form: &[u8], asked: &Asked<'_>) -> Answer {
        if let Some(refusal) = asked.faults.iter().find_map(|fault| refusal_of(fault)) {
            return refusal.into_answer();
        }
        match *method {
            Method::POST => self.tokens.give(tenant, form),
            _ => Refusal::new(405, "", "The endpoint only accepts POST requests.").into_answer(),
        }
    }

    /// Answers a call of the Web API, and says how many rows the answer has. A refusal with 401 is a challenge.
    fn data(
        &self,
        route: &Route,
        method: &Method,
        authorization: Option<&str>,
        now: u64,
        asked: &Asked<'_>,
    ) -> Result<(Answer, usize), Refusal> {
        let unauthorized = || Refusal::new(401, "", "");
        if asked.faults.iter().any(|fault| fault.kind == FaultKind::ExpiredToken) {
            self.tokens.expire(authorization);
        }
        if !self.tokens.accept(authorization) {
            return Err(unauthorized());
        }
        self.limiter.check(now)?;
        if let Some(refusal) = asked.faults.iter().find_map(|fault| refusal_of(fault)) {
            return Err(refusal);
        }
        if asked.faults.iter().any(|fault| fault.kind == FaultKind::NotJson) {
            let page = Bytes::from_static(b"<html><body><h1>Sign in to the network</h1></body></html>");
            return Ok((Answer::new(200, "text/html", [page]), 0));
        }
        if method != Method::GET {
            return Err(Refusal::new(405, "0x80060888", "The emulator's tables can be read only."));
        }
        let store = |name: &str| {
            let store = self.stores.iter().find(|store| store.table.name == name && !store.absent);
            store.ok_or_else(|| {
                let set =
                    self.stores.iter().find(|store| store.table.name == name).map_or(name, |store| store.entity_set);
                Refusal::no_segment(set)
            })
        };
        match route {
            Route::WhoAmI => Ok((who_am_i(&asked.root), 0)),
            Route::Page(name) => {
                let store = store(name)?;
                self.page_request(store, asked).answer(&store.rows())
            }
            Route::Count(name) => {
                let store = store(name)?;
                self.page_request(store, asked).count(&store.rows()).map(|answer| (answer, 0))
            }
            Route::Row(name, key) => {
                let store = store(name)?;
                let request = RowRequest { store, key, query: asked.query, root: &asked.root };
                request.row(&store.rows()).map(|answer| (answer, 0))
            }
            Route::Property { table, key, name, value } => {
                let store = store(table)?;
                let request = RowRequest { store, key, query: asked.query, root: &asked.root };
                let (answer, file) = request.property(&store.rows(), name, *value, asked.range)?;
                if file {
                    self.recorder.payload();
                }
                Ok((answer, 0))
            }
            Route::Root => Ok((self.service_document(&asked.root), 0)),
            Route::Unknown(name) => Err(Refusal::no_segment(name)),
            _ => Err(Refusal::new(404, "", &format!("No HTTP resource was found at http://{}.", asked.host))),
        }
    }

    fn page_request<'a>(&'a self, store: &'a Store, asked: &'a Asked<'_>) -> PageRequest<'a> {
        PageRequest {
            view: store.view(),
            entity_set: store.entity_set,
            root: &asked.root,
            query: asked.query,
            preferences: asked.preferences.clone(),
            faults: &asked.faults,
            settings: &self.settings,
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

    /// Answers what only the emulator has; without sign-in.
    fn answer_own(&self, route: &Route, method: &Method) -> Answer {
        match (route, method) {
            (Route::Advance, &Method::POST) => match self.advance() {
                Ok(left) => Answer::json(200, format!("{{\"phases_left\":{left}}}")),
                Err(error) => Refusal::new(500, "", &error.to_string()).into_answer(),
            },
            (Route::Served, &Method::GET) => {
                let body = serde_json::to_vec(&self.served()).unwrap_or_default();
                Answer::json(200, body)
            }
            (Route::Requests, &Method::GET) => {
                let mut requests = self.recorder.requests().into_iter();
                Answer::lines(move || {
                    let mut line = serde_json::to_vec(&requests.next()?).unwrap_or_default();
                    line.push(b'\n');
                    Some(Bytes::from(line))
                })
            }
            (Route::Rows(name), &Method::GET) => match self.stores.iter().find(|store| store.table.name == name) {
                Some(store) => row_lines(store),
                None => Refusal::no_segment(name).into_answer(),
            },
            _ => Refusal::new(405, "", "The method is not allowed.").into_answer(),
        }
    }

    /// Applies the next phase; says how many are left. Without one nothing happens.
    pub(crate) fn advance(&self) -> Result<usize, Error> {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(phase) = phases.pop_front() {
            if let Some(clock) = phase.clock {
                self.clock.fix(clock.0);
            }
            for (number, store) in self.stores.iter().enumerate() {
                store.apply(&phase, number == 0, &self.clock)?;
            }
        }
        Ok(phases.len())
    }

    pub(crate) fn served(&self) -> Served {
        let mut served = self.recorder.served(self.faults.fired());
        for store in &self.stores {
            served.tables.insert(store.table.name, TableServed::count(&store.rows()));
        }
        served
    }
}

/// The refusal that a fault is, when it is one.
fn refusal_of(fault: &FaultSpec) -> Option<Refusal> {
    let (status, code, message) = match fault.kind {
        FaultKind::Unauthorized => (401, "", ""),
        FaultKind::NoPrivilege => (
            403,
            "0x80040220",
            "Principal user (Id=33333333-3333-3333-3333-333333333333, type=8, roleCount=1, privilegeCount=4, accessMode=4), \
             is missing prvReadmsdyn_copilotevent privilege (Id=44444444-4444-4444-4444-444444444444) on OTC=10433 for entity \
             'msdyn_copilotevent'. context.Caller=33333333-3333-3333-3333-333333333333",
        ),
        FaultKind::NoMember => (403, "0x80072560", "The user is not a member of the organization."),
        FaultKind::Timeout => (408, "0x80044151", "SQL timeout expired."),
        FaultKind::TooManyRequests => {
            (429, "0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
        }
        FaultKind::Internal => (500, "0x80040216", "An unexpected error occurred."),
        FaultKind::Unavailable => (503, "", "The service is unavailable."),
        _ => return None,
    };
    let code = fault.code.as_deref().unwrap_or(code);
    let message = fault.message.as_deref().unwrap_or(message);
    Some(Refusal::new(status, code, message).retry_after(fault.retry_after))
}

fn who_am_i(root: &str) -> Answer {
    let body = serde_json::json!({
        "@odata.context": format!("{root}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse"),
        "BusinessUnitId": "55555555-5555-5555-5555-555555555555",
        "UserId": "33333333-3333-3333-3333-333333333333",
        "OrganizationId": crate::ORGANIZATION_ID,
    });
    Answer::json(200, body.to_string())
}

/// Key, modifiedon, versionnumber and week of every row, a JSON object per line.
fn row_lines(store: &Store) -> Answer {
    let (rows, table) = (store.rows(), store.table);
    let wires: Vec<_> = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
    let mut at = 0;
    Answer::lines(move || {
        let mut lines = Vec::new();
        let end = rows.len().min(at + 1_000);
        for row in at..end {
            let json = rows.json(row);
            let Ok(fields) = Fields::read(&json) else { continue };
            let key: Vec<_> = wires.iter().map(|wire| fields.text(wire).unwrap_or_default()).collect();
            let line = serde_json::json!({
                "key": key,
                "modifiedon": fields.text("modifiedon"),
                "versionnumber": fields.raw("versionnumber").and_then(|raw| raw.parse::<i64>().ok()),
                "week": rows.week(row).to_string(),
            });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
        at = end;
        (!lines.is_empty()).then(|| Bytes::from(lines))
    })
}

fn compress(answer: &mut Answer) {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail; if it did, the answer goes out as it is.
    if encoder.write_all(&answer.join()).is_ok()
        && let Ok(bytes) = encoder.finish()
    {
        answer.content = crate::reply::Content::Frames([Bytes::from(bytes)].into());
        answer.header(CONTENT_ENCODING, "gzip");
    }
}
