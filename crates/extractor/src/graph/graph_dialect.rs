//! The dialect of Microsoft Graph.

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use super::graph_error;
use crate::http::dialect::Dialect;
use crate::http::request::Request;

pub(super) static GRAPH: Dialect = Dialect {
    headers,
    classify: graph_error::classify,
    probe: "users?$top=1&$select=id",
    // What a skip token holds is not documented.
    binds_links: true,
    access_token_rejected_advice: "the service does not accept a fresh token; check that `graph.url` and \
                                   `auth.authority` belong to the same cloud, and `auth.tenant_id`",
};

/// The headers of a request to Graph.
pub(super) fn headers(_: &Request) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}
