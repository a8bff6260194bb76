//! Reading the descriptions in the archive.

use copilot_lake_tables::Instant;
use copilot_lake_writer::ArchivedSlice;

use super::description::{SliceFile, VERSION};
use crate::error::Error;

/// The description of an archived slice.
pub(super) async fn read_about(slice: &ArchivedSlice) -> Result<SliceFile, Error> {
    let text = slice.slice_json().await.map_err(|error| damaged(&error))?;
    let about: Result<SliceFile, _> = serde_json::from_str(&text);
    let about =
        about.map_err(|error| unusable(slice, &format!("its description cannot be read, {}", place(&error))))?;
    if let Some(field) = about.invalid_field() {
        return Err(unusable(slice, &format!("`{field}` of its description is not valid")));
    }
    if about.version > VERSION {
        return Err(unusable(slice, "a newer version of the program wrote it"));
    }
    Ok(about)
}

/// The error of a slice that cannot be replayed.
pub(super) fn unusable(slice: &ArchivedSlice, what: &str) -> Error {
    Error::Archive { what: format!("{}: {what}", slice.path) }
}

/// Where JSON is malformed; its own text would quote what stands there.
pub(super) fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// The error of an archived file that cannot be read.
pub(super) fn damaged(error: &copilot_lake_writer::Error) -> Error {
    Error::Archive { what: error.to_string() }
}

/// Why something is not replayed, and what becomes of the rest.
pub(super) fn left_out(reason: &str, what: &str) -> String {
    format!("{reason}; the {what} is left out, the others are replayed")
}

/// A time in a description.
pub(super) fn instant(text: &str) -> Result<Instant, Error> {
    Instant::parse(text).ok_or_else(|| Error::Archive { what: "a time in a description is not an instant".to_owned() })
}
