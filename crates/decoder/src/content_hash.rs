//! Ids derived from the content of a row.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

pub(crate) fn content_hash(raw: &str) -> String {
    let mut id = "sha256:".to_owned();
    for byte in Sha256::digest(raw.as_bytes()) {
        let written = write!(id, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    id
}
