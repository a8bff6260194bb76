//! The text of a transcript to its messages.

use super::model::Transcript;
use super::{fast_path, slow_path};

/// Reads a transcript.
///
/// # Errors
/// Why the text is none, without the text.
pub(super) fn read(text: &str) -> Result<Transcript<'_>, String> {
    fast_path::read(text).or_else(|_| slow_path::read(text))
}
