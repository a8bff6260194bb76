//! The dialect of Microsoft Graph.

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use super::error_response;
use crate::http::dialect::Dialect;
use crate::http::request::Request;

pub(super) static GRAPH: Dialect = Dialect {
    headers,
    classify: error_response::classify,
    token_rejected_advice: "the service does not accept a fresh token; check that `graph.url` and `auth.authority` belong to the \
                 same cloud, and `auth.tenant_id`",
};

/// The headers of a request to Graph.
pub(super) fn headers(_: &Request) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}
