//! A request to Graph without its route, and the frame of a page.

use bytes::Bytes;

use crate::http::faults::TriggeredFaults;
use crate::http::response::{HttpResponse, JSON};

/// A request to Graph.
pub(crate) struct GraphRequest<'a> {
    /// `http://host:port/v1.0/`.
    pub(crate) root: String,
    /// The URL without its query.
    pub(crate) url: String,
    pub(crate) query: &'a str,
    pub(crate) faults: &'a TriggeredFaults<'a>,
}

impl GraphRequest<'_> {
    /// Assembles a page from its head, rows and link.
    pub(crate) fn page(&self, mut head: Vec<u8>, next: Option<String>, rows: Vec<u8>) -> HttpResponse {
        if let Some(link) = next {
            let link = serde_json::Value::String(self.faults.elsewhere(link));
            head.extend_from_slice(format!("\"@odata.nextLink\":{link},").as_bytes());
        }
        head.extend_from_slice(b"\"value\":[");
        HttpResponse::new(200, JSON, [Bytes::from(head), Bytes::from(rows), Bytes::from_static(b"]}")])
    }
}
