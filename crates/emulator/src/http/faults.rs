//! Faults: which ones a request triggers, and what they do to its response.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::http::odata::{DELTA_TOKEN, SKIP_TOKEN};
use crate::http::request_kind::RequestKind;
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::fault_spec::{FaultKind, FaultSpec};

/// A fault, and how many requests it has seen and hit.
#[derive(Debug)]
struct Armed {
    spec: FaultSpec,
    seen: AtomicU64,
    fired: AtomicU64,
}

/// All faults of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

impl Faults {
    pub(crate) fn new(specs: &[FaultSpec]) -> Self {
        let armed = |spec: &FaultSpec| Armed { spec: spec.clone(), seen: AtomicU64::new(0), fired: AtomicU64::new(0) };
        Self(specs.iter().map(armed).collect())
    }

    /// Counts a request and returns its faults. `url` is decoded.
    pub(crate) fn triggered(&self, kind: RequestKind, table: Option<&str>, url: &str) -> TriggeredFaults<'_> {
        self.count((kind, table, url), |spec| spec.holding.is_none())
    }

    /// Counts a response and returns the faults that replace it.
    pub(crate) fn replacing(
        &self,
        kind: RequestKind,
        table: Option<&str>,
        url: &str,
        response: &HttpResponse,
    ) -> TriggeredFaults<'_> {
        let is_awaited = self.0.iter().any(|armed| armed.spec.holding.is_some());
        let body = if is_awaited { response.text() } else { String::new() };
        self.count((kind, table, url), |spec| spec.holding.as_ref().is_some_and(|text| body.contains(text)))
    }

    fn count(
        &self,
        (kind, table, url): (RequestKind, Option<&str>, &str),
        is_meant: impl Fn(&FaultSpec) -> bool,
    ) -> TriggeredFaults<'_> {
        let concerns = |spec: &FaultSpec| {
            is_meant(spec)
                && spec.at.is_none_or(|at| at == kind)
                && (spec.table.is_none() || spec.table.as_deref() == table)
                && spec.matching.as_ref().is_none_or(|part| url.contains(part))
                && (url.contains(SKIP_TOKEN) || !spec.needs_link())
                && (url.contains(DELTA_TOKEN) || spec.kind != FaultKind::ExpiredDelta)
        };
        let mut triggered = Vec::new();
        for armed in self.0.iter().filter(|armed| concerns(&armed.spec)) {
            let seen = armed.seen.fetch_add(1, Ordering::Relaxed) + 1;
            let (hit, times) = match (armed.spec.number, armed.spec.every) {
                (_, Some(every)) => (seen.is_multiple_of(every), armed.spec.times.unwrap_or(u64::MAX)),
                (number, None) => (seen >= number.unwrap_or(1), armed.spec.times.unwrap_or(1)),
            };
            let free = |fired| (fired < times).then_some(fired + 1);
            if hit && armed.fired.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok() {
                triggered.push(&armed.spec);
            }
        }
        TriggeredFaults(triggered)
    }

    /// How many faults happened.
    pub(crate) fn fired(&self) -> u64 {
        self.0.iter().map(|armed| armed.fired.load(Ordering::Relaxed)).sum()
    }
}

/// Where `foreign_link` leads unless the scenario says otherwise.
const FOREIGN: &str = "http://foreign.example";

/// The faults of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct TriggeredFaults<'a>(Vec<&'a FaultSpec>);

impl<'a> TriggeredFaults<'a> {
    fn find(&self, kind: FaultKind) -> Option<&'a FaultSpec> {
        self.0.iter().copied().find(|fault| fault.kind == kind)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.find(kind).is_some()
    }

    /// The delay of the response.
    pub(crate) fn ms(&self) -> u64 {
        self.0.iter().filter(|fault| fault.kind == FaultKind::Slow).map(|fault| fault.ms).sum()
    }

    /// The error response of the faults, if any; `usual` words it as the service does.
    pub(crate) fn error(&self, usual: impl Fn(FaultKind) -> Option<ServiceError>) -> Option<ServiceError> {
        self.0.iter().find_map(|fault| {
            let error = usual(fault.kind)?.instead(fault.code.as_deref(), fault.message.as_deref());
            Some(error.retry_after(fault.retry_after))
        })
    }

    /// The page of a proxy, instead of the response.
    pub(crate) fn not_json(&self) -> Option<HttpResponse> {
        let page = Bytes::from_static(b"<html><body><h1>Sign in to the network</h1></body></html>");
        self.has(FaultKind::NotJson).then(|| HttpResponse::new(200, "text/html", [page]))
    }

    /// The size of the page, given its usual size.
    pub(crate) fn most(&self, rows: usize) -> usize {
        match (self.has(FaultKind::EmptyPage), self.find(FaultKind::ShortPage)) {
            (true, _) => 0,
            (false, Some(short)) => rows.min(short.rows.unwrap_or(1)),
            (false, None) => rows,
        }
    }

    /// The link, pointed at another origin where a fault says so.
    pub(crate) fn elsewhere(&self, link: String) -> String {
        let Some(fault) = self.find(FaultKind::ForeignLink) else { return link };
        let path = link.find("://").and_then(|at| link[at + 3..].find('/').map(|path| &link[at + 3 + path..]));
        format!("{}{}", fault.origin.as_deref().unwrap_or(FOREIGN), path.unwrap_or_default())
    }
}
