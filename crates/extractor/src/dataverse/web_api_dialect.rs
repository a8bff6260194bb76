//! The dialect of the Dataverse Web API.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};

use super::file_batch::BATCH_CONTENT_TYPE;
use super::web_api_error;
use crate::http::dialect::Dialect;
use crate::http::request::{FilePortion, Request, ResourceKind};

pub(super) static DATAVERSE: Dialect = Dialect {
    headers,
    classify: web_api_error::classify,
    probe: "WhoAmI",
    // A paging cookie is the place of a row.
    binds_links: false,
    access_token_rejected_advice: "the service does not accept a fresh token; check `dataverse.url` and \
                                   `auth.tenant_id`",
};

/// The headers that the vendor requires on every request to Dataverse.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors>
pub(super) fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let accept = if request.kind == ResourceKind::File { "*/*" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(HeaderName::from_static("odata-maxversion"), HeaderValue::from_static("4.0"));
    headers.insert(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"));
    headers.insert(IF_NONE_MATCH, HeaderValue::from_static("null"));
    if let FilePortion::Range(range) = &request.portion
        && let Ok(range) = HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end - 1))
    {
        headers.insert(RANGE, range);
    }
    if matches!(request.kind, ResourceKind::Batch { .. }) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH_CONTENT_TYPE));
    }
    if let Some(prefer) = HeaderValue::try_from(&request.prefer).ok().filter(|prefer| !prefer.is_empty()) {
        headers.insert(HeaderName::from_static("prefer"), prefer);
    }
    headers
}
