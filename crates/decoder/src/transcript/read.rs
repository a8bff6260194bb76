//! Parsing of a transcript's text.

use super::model::Transcript;
use super::{fast_path, slow_path};

/// Parses a transcript, on the slow path if the fast one fails.
///
/// # Errors
/// Why the text is not a transcript, without quoting it.
pub(super) fn read(text: &str) -> Result<Transcript<'_>, String> {
    fast_path::read(text).map_or_else(|| slow_path::read(text), Ok)
}
