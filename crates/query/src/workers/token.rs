//! The token that workers and their clients share: a secret that no log and no error can show.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tonic::codegen::http::HeaderValue;
use tonic::codegen::http::header::InvalidHeaderValue;

/// What workers and their clients share. Debug prints `***`; only the header of a request has the text.
#[derive(Clone)]
pub struct WorkerToken(String);

impl WorkerToken {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value of the header that shows it to a worker.
    pub(crate) fn bearer(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.0))?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }

    /// Whether a client's text is the token; how long that takes tells nothing about it but its length.
    pub(crate) fn matches(&self, text: &str) -> bool {
        verify_slices_are_equal(text.as_bytes(), self.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for WorkerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = WorkerToken::new("hunter2");
        let shown = format!("{token:?} {token:#?} {:?}", token.bearer().unwrap());
        assert!(shown.starts_with("*** *** ") && !shown.contains("hunter2"), "{shown}");
        assert!(token.matches("hunter2") && !token.matches("hunter") && !token.matches("hunter3"));
    }
}
