//! The faults that one request meets, and what they do to its answer.

use bytes::Bytes;

use crate::http::response::{Answer, Refusal};
use crate::scenario::fault::{FaultKind, FaultSpec};

/// Where `foreign_link` leads unless the scenario says otherwise.
const FOREIGN: &str = "http://foreign.example";

/// What goes wrong with a request.
#[derive(Debug)]
pub(crate) struct Due<'a>(Vec<&'a FaultSpec>);

impl<'a> Due<'a> {
    pub(crate) const fn new(faults: Vec<&'a FaultSpec>) -> Self {
        Self(faults)
    }

    fn find(&self, kind: FaultKind) -> Option<&'a FaultSpec> {
        self.0.iter().copied().find(|fault| fault.kind == kind)
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.find(kind).is_some()
    }

    /// How long the answer waits.
    pub(crate) fn ms(&self) -> u64 {
        self.0.iter().filter(|fault| fault.kind == FaultKind::Slow).map(|fault| fault.ms).sum()
    }

    /// The refusal that a fault is, when one is; `usual` knows how the service words it.
    pub(crate) fn refusal(&self, usual: impl Fn(FaultKind) -> Option<Refusal>) -> Option<Refusal> {
        self.0.iter().find_map(|fault| {
            let refusal = usual(fault.kind)?.instead(fault.code.as_deref(), fault.message.as_deref());
            Some(refusal.retry_after(fault.retry_after))
        })
    }

    /// What a proxy sends in place of the answer.
    pub(crate) fn not_json(&self) -> Option<Answer> {
        let page = Bytes::from_static(b"<html><body><h1>Sign in to the network</h1></body></html>");
        self.has(FaultKind::NotJson).then(|| Answer::new(200, "text/html", [page]))
    }

    /// The most rows of a page that may have so many.
    pub(crate) fn most(&self, rows: usize) -> usize {
        match (self.has(FaultKind::EmptyPage), self.find(FaultKind::ShortPage)) {
            (true, _) => 0,
            (false, Some(short)) => rows.min(short.rows.unwrap_or(1)),
            (false, None) => rows,
        }
    }

    /// The link, or one that leads to another origin where a fault says so.
    pub(crate) fn elsewhere(&self, link: String) -> String {
        let Some(fault) = self.find(FaultKind::ForeignLink) else { return link };
        let path = link.find("://").and_then(|at| link[at + 3..].find('/').map(|path| &link[at + 3 + path..]));
        format!("{}{}", fault.origin.as_deref().unwrap_or(FOREIGN), path.unwrap_or_default())
    }
}
