//! Responses: bodies of a few frames, and errors in the documented shape.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::http::recorder::InFlight;

/// An error response: status, code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the request named a property that the metadata does not list.
    pub(crate) unlisted: bool,
}

impl ServiceError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), retry_after: None, unlisted: false }
    }

    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(400, "0x80060888", message)
    }

    pub(crate) fn no_property(name: &str, table: &str) -> Self {
        let message = format!("Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.");
        Self { unlisted: true, ..Self::bad_request(&message) }
    }

    pub(crate) fn no_segment(name: &str) -> Self {
        Self::new(404, "0x80060888", &format!("Resource not found for the segment '{name}'."))
    }

    /// The error for a shape of request that the extractor never sends.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::bad_request(&format!("The emulator does not answer {what}."))
    }

    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds.map(Duration::from_secs);
        self
    }

    pub(crate) const fn retry_in(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// The error with another code or message.
    pub(crate) fn instead(mut self, code: Option<&str>, message: Option<&str>) -> Self {
        self.code = code.unwrap_or(&self.code).to_owned();
        self.message = message.unwrap_or(&self.message).to_owned();
        self
    }

    pub(crate) fn into_response(self) -> HttpResponse {
        let body = serde_json::json!({ "error": { "code": self.code, "message": self.message } });
        let mut answer = HttpResponse::json(self.status, body.to_string());
        if let Some(time) = self.retry_after {
            // Whole seconds have no point.
            answer.header(RETRY_AFTER, &time.as_secs_f64().to_string());
        }
        answer
    }
}

/// A response before it is sent.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) frames: VecDeque<Bytes>,
    /// Whether it declares its length: the service streams Files without one.
    pub(crate) length: bool,
}

/// The content type of JSON responses.
pub(crate) const JSON: &str = "application/json; odata.metadata=minimal";

impl HttpResponse {
    pub(crate) fn new(status: u16, content_type: &'static str, frames: impl IntoIterator<Item = Bytes>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, headers, frames: frames.into_iter().collect(), length: true }
    }

    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, JSON, [body.into()])
    }

    /// JSON as the token services send it.
    pub(crate) fn utf8_json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", [body.to_string().into()])
    }

    /// Adds a header, unless its value is no valid header value.
    pub(crate) fn header(&mut self, name: impl TryInto<HeaderName>, value: &str) {
        if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_bytes(value.as_bytes())) {
            self.headers.push((name, value));
        }
    }

    /// What the body says.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.frames.iter().flatten().copied().collect::<Vec<_>>()).into_owned()
    }

    /// The hyper response; `cut` ends it after half of its bytes.
    pub(crate) fn into_response(mut self, cut: Option<Cut>, guard: Option<InFlight>) -> Response<ResponseBody> {
        let size = self.frames.iter().map(Bytes::len).sum();
        let mut left = size;
        if let Some(cut) = cut {
            left = size / 2;
            if cut == Cut::Length {
                self.headers.push((CONTENT_LENGTH, HeaderValue::from(size)));
            }
        }
        let length = (self.length && cut.is_none()).then_some(size as u64);
        let mut response = Response::new(ResponseBody { frames: self.frames, left, length, cut, pause: None, guard });
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// How a body breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Short of its Content-Length.
    Length,
    /// Without its last chunk.
    Chunked,
}

/// A response body.
pub(crate) struct ResponseBody {
    frames: VecDeque<Bytes>,
    /// Bytes that still go out when the body is cut.
    left: usize,
    length: Option<u64>,
    cut: Option<Cut>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    guard: Option<InFlight>,
}

impl ResponseBody {
    fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.frames.pop_front() {
                Some(frame) if frame.is_empty() => {}
                other => return other,
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let Some(cut) = this.cut else {
            let next = this.next();
            if next.is_none() {
                this.guard = None;
            }
            return Poll::Ready(next.map(|frame| Ok(Frame::data(frame))));
        };
        if this.left > 0
            && let Some(mut frame) = this.next()
        {
            frame.truncate(this.left);
            this.left -= frame.len();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        // What was written has to go out before the connection breaks.
        let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(20))));
        match pause.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if cut == Cut::Length => Poll::Ready(None),
            Poll::Ready(()) => Poll::Ready(Some(Err(std::io::Error::other("cut by the scenario")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // Exact only at the start, which is when hyper asks.
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
