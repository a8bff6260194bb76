//! Dialects: what a service has of its own, beside what all calls have in common.

use reqwest::header::HeaderMap;

use crate::fault::Fault;
use crate::refusal::{self, Refusal};
use crate::request::Ask;

/// How to speak to a service, and how it says no.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The headers of every request beside the token.
    pub(crate) headers: fn(&Ask) -> HeaderMap,
    /// What a refusal means.
    pub(crate) fault: fn(Refusal<'_>) -> Fault,
    /// What to do when the service does not accept a fresh token.
    pub(crate) unaccepted: &'static str,
}

pub(crate) static DATAVERSE: Dialect = Dialect {
    headers: Ask::dataverse_headers,
    fault: refusal::of_dataverse,
    unaccepted: "the service does not accept a fresh token; check `dataverse.url` and `auth.tenant_id`",
};

pub(crate) static GRAPH: Dialect = Dialect {
    headers: Ask::graph_headers,
    fault: refusal::of_graph,
    unaccepted: "the service does not accept a fresh token; check that `graph.url` and `auth.authority` belong to the \
                 same cloud, and `auth.tenant_id`",
};
