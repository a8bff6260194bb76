//! What was asked and what was sent: the counters that tests compare with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use copilot_lake_tables::Week;
use serde::Serialize;

use crate::data::table_rows::Rows;
use crate::graph::report::GraphServed;
use crate::http::token_issuer::APPLICATIONS;
use crate::route::Kind;

/// What an emulator was asked for and has sent until now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Requests by kind: `token`, `whoami`, `metadata`, `privileges`, `count`, `page`, `tracking`, `row`, `file`,
    /// `history`, `users`, `user`, `members`, `deleted`, `other`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Answers by status; 0 for a connection that was cut before an answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Rows in pages of tables, repeated ones counted each time.
    pub rows: u64,
    /// Files that were sent.
    pub payloads: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Requests that came before the `Retry-After` of an earlier answer was over.
    pub retry_after_violations: u64,
    /// Requests that named a column which the metadata does not list.
    pub columns_unlisted: u64,
    /// Requests that were refused because too many were under way at once.
    pub limits_passed: u64,
    /// Rows that phases deleted.
    pub deleted: u64,
    /// The most requests at the same time.
    pub concurrency_max: u64,
    /// By table name.
    pub tables: BTreeMap<&'static str, TableServed>,
    /// Of Microsoft Graph, where the scenario has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphServed>,
}

/// The rows of a table; rows with the same key count once, in the week of the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableServed {
    /// Rows that exist now.
    pub rows: u64,
    /// Files that they name.
    pub files: u64,
    /// Rows that exist now, by the first day of their week (`2025-06-22`), by the definition of the week.
    pub weeks: BTreeMap<String, u64>,
    /// Rows that exist now and were sent in a page at least once.
    pub rows_served: u64,
    /// The same by week.
    pub weeks_served: BTreeMap<String, u64>,
    /// Rows that phases deleted.
    pub deleted: u64,
}

/// A request as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Milliseconds since the emulator started.
    pub at_ms: u64,
    /// `GET`, `POST`.
    pub method: String,
    /// The kind, as in [`Served::requests`].
    pub kind: &'static str,
    /// Path and query as they were sent.
    pub url: String,
    /// The answer's status; 0 when the connection was cut before an answer.
    pub status: u16,
    /// Rows in the page.
    pub rows: usize,
    /// The client id of the application that the token was given to, or that asks for one; `None` when it is unknown.
    pub application: Option<&'static str>,
    /// Of Microsoft Graph: the object id of whom it is about, or what the address has instead of one that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// Requests beyond that many are counted, not kept.
const REQUESTS_KEPT: usize = 100_000;

/// Requests that were on their way when a `Retry-After` left are no violations.
const GRACE: Duration = Duration::from_millis(100);

/// Counts what is asked and sent.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    now: Arc<AtomicU64>,
    /// The same of each application, and at the end of none.
    now_of: [Arc<AtomicU64>; IDENTITIES],
    most: AtomicU64,
    state: Mutex<State>,
}

/// The applications, and at the end whoever is none of them.
const IDENTITIES: usize = APPLICATIONS.len() + 1;

const fn identity(application: Option<usize>) -> usize {
    match application {
        Some(application) if application < IDENTITIES => application,
        _ => IDENTITIES - 1,
    }
}

/// What closes for itself alone when it is asked too much: Dataverse, the directory, histories.
const SERVICES: usize = 3;

const fn service(kind: Kind) -> usize {
    match kind {
        Kind::History => 2,
        kind if kind.is_of_graph() => 1,
        _ => 0,
    }
}

/// An answer as it is noted.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) kind: Kind,
    pub(crate) application: Option<usize>,
    pub(crate) status: u16,
    pub(crate) rows: usize,
    pub(crate) retry_after: Option<u64>,
    pub(crate) user: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    served: Served,
    requests: Vec<Request>,
    /// No request of that application to a service may come between these moments.
    closed: [[Option<(Instant, Instant)>; SERVICES]; IDENTITIES],
}

/// A request that is being answered; counts down when the answer has gone out.
#[derive(Debug)]
pub(crate) struct InFlight {
    now: [Arc<AtomicU64>; 2],
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for now in &self.now {
            now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            now: Arc::default(),
            now_of: Default::default(),
            most: AtomicU64::new(0),
            state: Mutex::new(State::default()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request begins; says how many of that application there are now.
    pub(crate) fn begin(&self, application: Option<usize>) -> (InFlight, u64) {
        let all = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(all, Ordering::Relaxed);
        let now_of = &self.now_of[identity(application)];
        let now = now_of.fetch_add(1, Ordering::Relaxed) + 1;
        (InFlight { now: [Arc::clone(&self.now), Arc::clone(now_of)] }, now)
    }

    /// Notes that an application asks, after a `Retry-After` perhaps too early.
    pub(crate) fn arrival(&self, application: Option<usize>, kind: Kind) {
        let now = Instant::now();
        let mut state = self.state();
        if state.closed[identity(application)][service(kind)].is_some_and(|(from, until)| from < now && now < until) {
            state.served.retry_after_violations += 1;
        }
    }

    /// Notes an answer.
    pub(crate) fn end(&self, method: &str, url: &str, answered: Answered) {
        let Answered { kind, application, status, rows, retry_after, user } = answered;
        let now = Instant::now();
        let mut state = self.state();
        *state.served.requests.entry(kind.name()).or_default() += 1;
        *state.served.statuses.entry(status).or_default() += 1;
        state.served.rows += if kind.is_of_graph() { 0 } else { rows as u64 };
        // The token service is another one: it closes nothing here.
        if let Some(seconds) = retry_after.filter(|_| kind != Kind::Token) {
            let until = now + Duration::from_secs(seconds);
            let closed = &mut state.closed[identity(application)][service(kind)];
            let until = closed.map_or(until, |(_, earlier)| earlier.max(until));
            *closed = Some((now + GRACE, until));
        }
        if state.requests.len() < REQUESTS_KEPT {
            let at_ms = now.duration_since(self.started).as_millis() as u64;
            let (method, url) = (method.to_owned(), url.to_owned());
            let application = application.and_then(|at| APPLICATIONS.get(at)).map(|(id, _)| *id);
            state.requests.push(Request { at_ms, method, kind: kind.name(), url, status, rows, application, user });
        }
    }

    pub(crate) fn column_unlisted(&self) {
        self.state().served.columns_unlisted += 1;
    }

    pub(crate) fn limit_passed(&self) {
        self.state().served.limits_passed += 1;
    }

    /// A number for a request: nanoseconds since the start.
    pub(crate) fn moment(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    pub(crate) fn payload(&self) {
        self.state().served.payloads += 1;
    }

    /// The counters without the tables.
    pub(crate) fn served(&self, faults: u64) -> Served {
        let served = self.state().served.clone();
        Served { faults, concurrency_max: self.most.load(Ordering::Relaxed), ..served }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }
}

impl TableServed {
    /// Counts the rows of a table.
    pub(crate) fn count(rows: &Rows) -> Self {
        let mut weeks: BTreeMap<Week, (u64, u64)> = BTreeMap::new();
        let mut served = Self::default();
        for same in rows.keys().chunk_by(|a, b| a.0 == b.0) {
            let rows_of_key = || same.iter().map(|(_, at)| *at as usize);
            let Some(newest) = rows_of_key().max_by_key(|at| rows.modified(*at)) else { continue };
            let sent = rows_of_key().any(|at| rows.is_served(at));
            served.rows += 1;
            served.rows_served += u64::from(sent);
            served.files += u64::from(rows.files(newest));
            let week = weeks.entry(rows.week(newest)).or_default();
            *week = (week.0 + 1, week.1 + u64::from(sent));
        }
        for (week, (rows, sent)) in weeks {
            served.weeks.insert(week.to_string(), rows);
            if sent > 0 {
                served.weeks_served.insert(week.to_string(), sent);
            }
        }
        served
    }
}
