//! The recorder: counts what clients request of both services and what is sent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::request_kind::RequestKind;
use crate::identity::APPLICATIONS;
use crate::served::{GraphServed, RecordedRequest, Served};

/// Requests beyond this number are counted but not kept.
const REQUESTS_KEPT: usize = 100_000;

/// Requests already on their way when a `Retry-After` was sent are no violations, nor is the delay of a busy machine.
const GRACE: Duration = Duration::from_millis(500);

/// The applications, then callers that are none of them.
const IDENTITIES: usize = APPLICATIONS.len() + 1;

const fn identity(application: Option<usize>) -> usize {
    match application {
        Some(application) if application < IDENTITIES => application,
        _ => IDENTITIES - 1,
    }
}

type Interval = (Instant, Instant);

/// The words of a 429 that concerns one user's mailbox.
pub(crate) const MAILBOX_LIMIT: &str = "MailboxConcurrency";

/// What is throttled on its own: Dataverse, the directory, histories.
const SERVICES: usize = 3;

const fn service(kind: RequestKind) -> usize {
    match kind {
        RequestKind::History => 2,
        kind if kind.is_of_graph() => 1,
        _ => 0,
    }
}

/// Counts requests and responses.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    in_flight: Arc<AtomicU64>,
    /// The same by application, and last for callers without one.
    in_flight_of: [Arc<AtomicU64>; IDENTITIES],
    most_in_flight: AtomicU64,
    record: Mutex<Record>,
    /// A response was recorded.
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Record {
    served: Served,
    /// Without the counters that the tenant itself has.
    graph: GraphServed,
    requests: Vec<RecordedRequest>,
    /// The interval in which an application may send no request to a service.
    closed: [[Option<Interval>; SERVICES]; IDENTITIES],
    /// The interval in which nobody may ask for a resource.
    closed_resources: HashMap<String, Interval>,
    /// Users whose history was sent.
    histories: HashSet<u32>,
    /// Requests for each user's history that are in flight.
    histories_in_flight: HashMap<u32, Arc<AtomicU64>>,
}

/// A response as it is recorded.
#[derive(Debug)]
pub(crate) struct RecordedResponse {
    pub(crate) kind: RequestKind,
    pub(crate) application: Option<usize>,
    pub(crate) status: u16,
    pub(crate) rows: usize,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) user: Option<String>,
    /// What `retry_after` concerns alone, if it is not the service.
    pub(crate) resource: Option<String>,
}

/// A request that is in flight until this is dropped, when the response has gone out.
#[derive(Debug)]
pub(crate) struct InFlight {
    counters: Vec<Arc<AtomicU64>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for counter in &self.counters {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            in_flight: Arc::default(),
            in_flight_of: Default::default(),
            most_in_flight: AtomicU64::new(0),
            record: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a request; returns how many of the application are in flight.
    pub(crate) fn begin(&self, application: Option<usize>) -> (InFlight, u64) {
        let all = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(all, Ordering::Relaxed);
        let of_application = &self.in_flight_of[identity(application)];
        let count = of_application.fetch_add(1, Ordering::Relaxed) + 1;
        (InFlight { counters: vec![Arc::clone(&self.in_flight), Arc::clone(of_application)] }, count)
    }

    /// Records the start of a request for a user's history, perhaps while another is in flight.
    pub(crate) fn begin_history(&self, user: u32) -> InFlight {
        let mut record = self.record();
        let counter = Arc::clone(record.histories_in_flight.entry(user).or_default());
        record.graph.at_once += counter.fetch_add(1, Ordering::Relaxed).min(1);
        InFlight { counters: vec![counter] }
    }

    /// Records the arrival of a request, perhaps before a `Retry-After` is over.
    pub(crate) fn arrival(&self, application: Option<usize>, kind: RequestKind, resource: Option<&str>) {
        let now = Instant::now();
        let mut record = self.record();
        let of_service = record.closed[identity(application)][service(kind)];
        let of_resource = resource.and_then(|resource| record.closed_resources.get(resource));
        if of_service.iter().chain(of_resource).any(|&(from, until)| from < now && now < until) {
            record.served.retry_after_violations += 1;
        }
    }

    /// Records a response.
    pub(crate) fn end(&self, method: &str, url: &str, answered: RecordedResponse) {
        let RecordedResponse { kind, application, status, rows, retry_after, user, resource } = answered;
        let now = Instant::now();
        let mut record = self.record();
        *record.served.requests.entry(kind.name()).or_default() += 1;
        *record.served.statuses.entry(status).or_default() += 1;
        if !kind.is_of_graph() {
            record.served.rows += rows as u64;
        } else if status == 200 {
            *record.graph.rows.entry(kind.name()).or_default() += rows as u64;
        }
        // A `Retry-After` of the token service does not concern the APIs.
        if let Some(time) = retry_after.filter(|_| kind != RequestKind::Token) {
            let until = now + time;
            let interval = (now + GRACE, until);
            let closed = match resource {
                Some(resource) => record.closed_resources.entry(resource).or_insert(interval),
                None => record.closed[identity(application)][service(kind)].get_or_insert(interval),
            };
            *closed = (interval.0, closed.1.max(until));
        }
        if record.requests.len() < REQUESTS_KEPT {
            let at_ms = now.duration_since(self.started).as_millis() as u64;
            let (method, url, kind) = (method.to_owned(), url.to_owned(), kind.name());
            let application = application.and_then(|at| APPLICATIONS.get(at)).map(|(id, _)| *id);
            record.requests.push(RecordedRequest { at_ms, method, kind, url, status, rows, application, user });
        }
        self.answered.notify_all();
    }

    /// Waits for the next response, for `most` at most.
    pub(crate) fn wait(&self, most: Duration) {
        drop(self.answered.wait_timeout(self.record(), most));
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.record().served.requests.clone()
    }

    /// Counts what only a service can tell.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Served, &mut GraphServed)) {
        let Record { served, graph, .. } = &mut *self.record();
        add(served, graph);
    }

    /// Records that a page of a user's history was sent, and whether the link to it had been altered.
    pub(crate) fn history(&self, user: u32, altered: bool) {
        let mut record = self.record();
        record.histories.insert(user);
        record.graph.links_altered += u64::from(altered);
    }

    /// Nanoseconds since the start, the seed of request ids.
    pub(crate) fn nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// The counters of both services, without those of tables and tenant.
    pub(crate) fn served(&self) -> (Served, GraphServed) {
        let record = self.record();
        let served = Served { concurrency_max: self.most_in_flight.load(Ordering::Relaxed), ..record.served.clone() };
        (served, GraphServed { histories: record.histories.len() as u64, ..record.graph.clone() })
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.record().requests.clone()
    }
}
