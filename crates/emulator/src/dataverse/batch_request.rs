//! A batch as the client sends it: requests in the parts of a `multipart/mixed` body.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api>

use hyper::Method;

use crate::dataverse::dataverse_route::DataverseRoute;
use crate::http::faults::{Faults, TriggeredFaults};
use crate::http::odata::decode;
use crate::http::preferences::Preferences;
use crate::http::response::ServiceError;
use crate::route::Route;

/// The most parts of a batch.
const MAX_PARTS: usize = 1_000;

/// The longest URL of a part.
const MAX_URL: usize = 64 << 10;

/// What ends a line. The service takes nothing else.
const CRLF: &str = "\r\n";

/// A batch of requests.
#[derive(Debug)]
pub(crate) struct BatchRequest<'a> {
    pub(crate) parts: Vec<BatchPart<'a>>,
}

/// A request in a batch.
#[derive(Debug)]
pub(crate) struct BatchPart<'a> {
    pub(crate) method: Method,
    pub(crate) route: DataverseRoute,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) preferences: Preferences,
    /// None in a batch that fails as a whole.
    pub(crate) faults: TriggeredFaults<'a>,
}

impl<'a> BatchRequest<'a> {
    /// Parses the body of a batch. `origin` is where the batch was sent to, which parts may name.
    pub(crate) fn parse(content_type: Option<&str>, body: &[u8], origin: &str) -> Result<Self, ServiceError> {
        let boundary = boundary(content_type.unwrap_or_default())
            .ok_or_else(|| refused("The content type of a batch is multipart/mixed with a boundary."))?;
        let body = std::str::from_utf8(body).map_err(|_| refused("The body is not UTF-8."))?;
        let delimiter = format!("--{boundary}");
        let mut texts = body.split(&*delimiter);
        // What stands before the first delimiter is ignored.
        texts.next();
        let mut parts = Vec::new();
        for text in texts {
            if text.starts_with("--") {
                return Ok(Self { parts });
            }
            if parts.len() == MAX_PARTS {
                return Err(refused(&format!("The batch has more than {MAX_PARTS} requests.")));
            }
            let text = text.strip_prefix(CRLF).and_then(|text| text.strip_suffix(CRLF));
            let text = text.ok_or_else(|| refused("A delimiter does not stand on a line of its own."))?;
            parts.push(BatchPart::parse(text, origin)?);
        }
        Err(refused("The batch has no end."))
    }

    /// Counts the parts for faults.
    pub(crate) fn trigger(&mut self, faults: &'a Faults) {
        for part in &mut self.parts {
            let url = decode(&format!("{}?{}", part.path, part.query));
            part.faults = faults.triggered(part.route.kind(), part.route.table(), &url);
        }
    }

    /// The table of the first part.
    pub(crate) fn table(&self) -> Option<&'static str> {
        self.parts.first()?.route.table()
    }

    /// How much longer the faults of parts make the batch.
    pub(crate) fn ms(&self) -> u64 {
        self.parts.iter().map(|part| part.faults.ms()).sum()
    }
}

impl BatchPart<'_> {
    fn parse(text: &str, origin: &str) -> Result<Self, ServiceError> {
        let no_headers = || refused("The headers of a part do not end.");
        let (headers, request) = text.split_once("\r\n\r\n").ok_or_else(no_headers)?;
        match header(headers, "content-type") {
            Some("application/http") => {}
            Some(multipart) if multipart.starts_with("multipart/mixed") => {
                return Err(ServiceError::unsupported("a change set"));
            }
            _ => return Err(refused("The content type of a part is application/http.")),
        }
        if header(headers, "content-transfer-encoding") != Some("binary") {
            return Err(refused("The transfer encoding of a part is binary."));
        }
        let (line, headers) = request.split_once(CRLF).unwrap_or((request, ""));
        let words: Vec<_> = line.split(' ').collect();
        let [method, url, "HTTP/1.1"] = words.as_slice() else {
            return Err(refused("A part begins with no request line."));
        };
        if url.len() > MAX_URL {
            return Err(refused("The URL of a part is too long."));
        }
        let target = url.strip_prefix(origin).unwrap_or(url);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = match Route::parse(path) {
            Route::Dataverse(DataverseRoute::Batch) => return Err(refused("A batch has no batch in it.")),
            Route::Dataverse(route) => route,
            _ => DataverseRoute::Elsewhere,
        };
        Ok(Self {
            method: method.parse().map_err(|_| refused("The method of a part is none."))?,
            route,
            path: path.to_owned(),
            query: query.to_owned(),
            preferences: Preferences::parse(header(headers, "prefer").into_iter()),
            faults: TriggeredFaults::default(),
        })
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if media_type.trim() != "multipart/mixed" {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// The value of a header.
fn header<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lines.split(CRLF).map_while(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn refused(message: &str) -> ServiceError {
    ServiceError::new(400, "0x80048d19", message)
}
