//! The response to a batch: responses in the parts of a `multipart/mixed` body, in the order of the requests.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::data::random::guid_text;
use crate::http::response::{HttpResponse, JSON};

/// The responses so far.
#[derive(Debug)]
pub(crate) struct BatchResponse {
    boundary: String,
    frames: Vec<Bytes>,
}

impl BatchResponse {
    /// An empty response whose boundary follows from a number.
    pub(crate) fn new(number: u64) -> Self {
        Self { boundary: format!("batchresponse_{}", guid_text(number)), frames: Vec::new() }
    }

    /// Adds the response to the next request.
    pub(crate) fn push(&mut self, part: HttpResponse) {
        let reason = StatusCode::from_u16(part.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!(
            "--{}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {} {}\r\n",
            self.boundary,
            part.status,
            reason.unwrap_or_default()
        );
        for (name, value) in &part.headers {
            let value = value.to_str().unwrap_or_default();
            let streaming = if value == JSON { "; odata.streaming=true" } else { "" };
            head += &format!("{name}: {value}{streaming}\r\n");
        }
        head += "OData-Version: 4.0\r\n\r\n";
        self.frames.push(head.into());
        self.frames.extend(part.frames);
        self.frames.push(Bytes::from_static(b"\r\n"));
    }

    /// The whole response. Like Files it is sent without its length.
    pub(crate) fn finish(mut self, status: u16) -> HttpResponse {
        self.frames.push(format!("--{}--\r\n", self.boundary).into());
        let mut response = HttpResponse::new(status, "", self.frames);
        let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={}", self.boundary));
        response.headers = content_type.into_iter().map(|value| (CONTENT_TYPE, value)).collect();
        response.length = false;
        response
    }
}
