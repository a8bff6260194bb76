//! Why an emulator cannot start or advance.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why an emulator cannot start or advance.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario is invalid.
    #[error("scenario: {0}")]
    Scenario(String),
    /// A file that the scenario names, or the scenario itself, cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The emulator cannot listen on the address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn scenario(what: impl Into<String>) -> Self {
        Self::Scenario(what.into())
    }
}
