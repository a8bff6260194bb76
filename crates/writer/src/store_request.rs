//! A request to an object store that failed: whether the store was there, and what of it may be told. Libraries on the
//! way keep the text alone, and the text quotes the store's answer.

use std::error::Error;

use crate::error_text::without_number;

/// How the store's client begins: then the method and the address.
const BEGINNING: &str = "Error performing ";
/// Then the status, a colon and the body.
const STATUS: &str = "Server returned non-2xx status code: ";
/// Then the body of an answer that began as a success.
const BODY: &str = "Server returned error response: ";

/// Why a request failed, by what a person has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestFailure {
    /// The store does not answer, or answers that it cannot.
    Unavailable,
    /// The store refuses this identity, or the request as such.
    Refused,
}

/// A request as the client tells it.
struct FailedRequest<'t> {
    method: &'t str,
    address: &'t str,
    /// Such as `403 Forbidden`; `None` if there was no answer.
    status: Option<&'t str>,
    has_failed_later: bool,
    reason: &'t str,
}

impl<'t> FailedRequest<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        // An outer error may begin alike, without a method.
        let (method, told) = text.split(BEGINNING).skip(1).find_map(|told| {
            let (method, told) = told.split_once(' ')?;
            method.bytes().all(|byte| byte.is_ascii_uppercase()).then_some((method, told))
        })?;
        let (address, told) = told.split_once(' ')?;
        // A query may hold a signature.
        let address = address.split_once('?').map_or(address, |(address, _)| address);
        let status =
            told.split_once(STATUS).map(|(_, answer)| answer.split_once(':').map_or(answer, |(status, _)| status));
        let reason = told.split_once(" - ").map_or("", |(_, reason)| reason.lines().next().unwrap_or_default());
        Some(Self { method, address, status, has_failed_later: told.contains(BODY), reason })
    }

    fn failure(&self) -> Option<RequestFailure> {
        let number = self.status.and_then(|status| status.get(..3)?.parse::<u16>().ok());
        match number {
            // What is not there, and what is there already: answers, not failures.
            Some(304 | 404 | 409 | 412) => None,
            None | Some(408 | 429 | 500..) => Some(RequestFailure::Unavailable),
            Some(_) => Some(RequestFailure::Refused),
        }
    }
}

/// What the failure of a request means; `None` if the error's text is about something else.
pub(crate) fn failure(error: &dyn Error) -> Option<RequestFailure> {
    FailedRequest::parse(&error.to_string())?.failure()
}

/// What may be told of a failed request: what was requested, and the status or why there was none.
pub fn in_words(error: &(dyn Error + 'static)) -> Option<String> {
    let text = error.to_string();
    let request = FailedRequest::parse(&text)?;
    let outcome = match (request.status, request.has_failed_later) {
        (Some(status), _) => format!("status {status}"),
        (None, true) => "an error in the answer".to_owned(),
        (None, false) => innermost(error).unwrap_or_else(|| request.reason.to_owned()),
    };
    Some(format!("{} {}: {outcome}", request.method, request.address))
}

/// What the system says behind the client's error.
fn innermost(error: &(dyn Error + 'static)) -> Option<String> {
    let mut last = error.source()?;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let last = last.to_string();
    (!last.contains(BEGINNING)).then(|| without_number(&last))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_request_is_told_without_its_answer() {
        use RequestFailure::{Refused, Unavailable};
        let begun = "Generic S3 error: Error performing list request: Error performing GET https://b.example/k?sig=secret in 1.2s, after 3 retries, \
                     max_retries: 3, retry_timeout: 180s  - ";
        for (end, failure_of, words) in [
            (
                "Server returned non-2xx status code: 403 Forbidden: <Key>AKIA</Key>",
                Some(Refused),
                "status 403 Forbidden",
            ),
            ("Server returned non-2xx status code: 400 Bad Request: a: b", Some(Refused), "status 400 Bad Request"),
            (
                "Server returned non-2xx status code: 503 Service Unavailable: ",
                Some(Unavailable),
                "status 503 Service Unavailable",
            ),
            ("Server returned non-2xx status code: 404 Not Found: x", None, "status 404 Not Found"),
            ("Server returned error response: <Error>k</Error>", Some(Unavailable), "an error in the answer"),
            ("HTTP error: error sending request", Some(Unavailable), "HTTP error: error sending request"),
        ] {
            let error = io::Error::other(format!("{begun}{end}"));
            assert_eq!(failure(&error), failure_of, "{end}");
            assert_eq!(in_words(&error).unwrap(), format!("GET https://b.example/k: {words}"));
        }
        assert_eq!(in_words(&io::Error::other("no such bucket")), None);
    }
}
