//! What client and worker must agree on before a plan is sent: the version, the lake and the shared token. Every request
//! carries all three.

use copilot_lake_writer::{Lake, shown_location};
use tonic::Status;
use tonic::codegen::http::header::{AUTHORIZATION, InvalidHeaderValue};
use tonic::codegen::http::{HeaderMap, HeaderValue};

use super::token::WorkerToken;

const VERSION: &str = "copilot-lake-version";
const LAKE: &str = "copilot-lake-url";

/// What one side has.
#[derive(Clone)]
pub(crate) struct Handshake {
    pub(crate) version: String,
    /// The lake's URL without what may be a secret.
    lake: String,
    token: Option<WorkerToken>,
}

impl Handshake {
    /// That of this program over a lake.
    pub(crate) fn new(lake: &Lake, token: Option<WorkerToken>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, lake: shown_location(lake.url().as_str()), token }
    }

    /// The headers of each request to a worker.
    pub(crate) fn headers(&self) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, HeaderValue::from_str(&self.version)?);
        headers.insert(LAKE, HeaderValue::from_str(&self.lake)?);
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.bearer()?);
        }
        Ok(headers)
    }

    /// Whether a request may go on; a client without the token learns nothing else.
    pub(crate) fn verify(&self, headers: &HeaderMap) -> Result<(), Status> {
        if let Some(token) = &self.token {
            let Some(given) = text(headers, AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix("Bearer "))
            else {
                return Err(Status::unauthenticated("it wants a token, and there is none"));
            };
            if !token.matches(given) {
                return Err(Status::unauthenticated("it wants another token"));
            }
        }
        let version = text(headers, VERSION).unwrap_or("unknown");
        if version != self.version {
            let own = &self.version;
            return Err(Status::failed_precondition(format!("its version is {own}, and that of the client {version}")));
        }
        let lake = text(headers, LAKE).unwrap_or("unknown");
        if lake != self.lake {
            let own = &self.lake;
            return Err(Status::failed_precondition(format!("it serves the lake {own}, and the query reads {lake}")));
        }
        Ok(())
    }
}

/// The value of a header, if it is a text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn handshake(token: Option<&str>) -> Handshake {
        let token = token.map(WorkerToken::new);
        Handshake { version: "1.0.0".to_owned(), lake: "s3://bucket/lake/".to_owned(), token }
    }

    fn refused(server: &Handshake, client: &Handshake) -> (Code, String) {
        let status = server.verify(&client.headers().unwrap()).unwrap_err();
        (status.code(), status.message().to_owned())
    }

    #[test]
    fn the_token_comes_first_and_is_never_shown() {
        let server = handshake(Some("s3cret-token"));
        assert!(server.verify(&server.headers().unwrap()).is_ok());
        let other = Handshake { version: "2.0.0".to_owned(), ..handshake(None) };
        assert_eq!(refused(&server, &other), (Code::Unauthenticated, "it wants a token, and there is none".to_owned()));
        for token in ["s3cret-tokem", "s3cret", ""] {
            let (code, text) = refused(&server, &handshake(Some(token)));
            assert!(code == Code::Unauthenticated && text == "it wants another token", "{text}");
        }
        assert!(!format!("{:?}", server.headers().unwrap()).contains("s3cret"));
        assert!(handshake(None).verify(&server.headers().unwrap()).is_ok(), "a worker without a token wants none");
    }

    #[test]
    fn another_version_and_another_lake_are_named() {
        let server = handshake(None);
        let (code, text) = refused(&server, &Handshake { version: "2.0.0".to_owned(), ..handshake(None) });
        assert_eq!(
            (code, text.as_str()),
            (Code::FailedPrecondition, "its version is 1.0.0, and that of the client 2.0.0")
        );
        let (code, text) = refused(&server, &Handshake { lake: "s3://other/".to_owned(), ..handshake(None) });
        assert_eq!(code, Code::FailedPrecondition);
        assert_eq!(text, "it serves the lake s3://bucket/lake/, and the query reads s3://other/");
        let unknown = server.verify(&HeaderMap::new()).unwrap_err();
        assert_eq!(unknown.message(), "its version is 1.0.0, and that of the client unknown");
    }
}
