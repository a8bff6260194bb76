//! Reading the descriptions in the archive.

use std::sync::Arc;

use copilot_lake_tables::{AI_INTERACTION, Instant, PAYLOAD};
use copilot_lake_writer::{ArchivedEntry, ArchivedFolder};
use tokio::sync::OnceCell;

use super::description::{SliceFile, VERSION};
use crate::error::Error;

/// A slice of the archive, or everything that an archive has of payloads, histories or users.
pub(super) struct ArchivedSlice {
    pub(super) about: SliceFile,
    /// Its line in the description of the archive.
    pub(super) number: u32,
    pub(super) archive: Arc<IndexedArchive>,
}

/// An archive whose index is read at most once.
pub(super) struct IndexedArchive {
    pub(super) folder: ArchivedFolder,
    entries: OnceCell<Vec<ArchivedEntry>>,
}

impl IndexedArchive {
    /// What its index lists.
    pub(super) async fn entries(&self) -> Result<&[ArchivedEntry], Error> {
        let read = async { self.folder.entries().await.map_err(|error| damaged(&error)) };
        Ok(self.entries.get_or_try_init(|| read).await?)
    }
}

/// The slices of an archive. Histories and payloads are replayed as a whole: the first line stands for all, since there
/// may be very many.
pub(super) async fn read_slices(folder: ArchivedFolder) -> Vec<Result<ArchivedSlice, Error>> {
    let text = match folder.slice_json().await {
        Ok(text) => text,
        Err(error) => return vec![Err(damaged(&error))],
    };
    let archive = Arc::new(IndexedArchive { folder, entries: OnceCell::new() });
    let mut slices = Vec::new();
    for (number, line) in (0..).zip(lines(&text)) {
        let about = read_about(&archive.folder, line);
        let is_whole =
            about.as_ref().is_ok_and(|about| [AI_INTERACTION.name, PAYLOAD.name].contains(&about.table.as_str()));
        slices.push(about.map(|about| ArchivedSlice { about, number, archive: Arc::clone(&archive) }));
        if is_whole {
            break;
        }
    }
    slices
}

/// All descriptions of an archive.
pub(super) async fn read_all(folder: &ArchivedFolder) -> Result<Vec<SliceFile>, Error> {
    let text = folder.slice_json().await.map_err(|error| damaged(&error))?;
    lines(&text).into_iter().map(|line| read_about(folder, line)).collect()
}

/// The descriptions in a text: lines, or one of several lines that somebody has formatted.
fn lines(text: &str) -> Vec<&str> {
    let text = text.trim();
    match text.lines().next() {
        Some(first) if first.starts_with('{') && first.trim_end().ends_with('}') => text.lines().collect(),
        _ => vec![text],
    }
}

/// A description of a slice.
fn read_about(folder: &ArchivedFolder, line: &str) -> Result<SliceFile, Error> {
    let about: Result<SliceFile, _> = serde_json::from_str(line);
    let about =
        about.map_err(|error| unusable(folder, &format!("its description cannot be read, {}", place(&error))))?;
    if let Some(field) = about.invalid_field() {
        return Err(unusable(folder, &format!("`{field}` of its description is not valid")));
    }
    if about.version > VERSION {
        return Err(unusable(folder, "a newer version of the program wrote it"));
    }
    Ok(about)
}

/// The error of an archive that cannot be replayed.
pub(super) fn unusable(folder: &ArchivedFolder, what: &str) -> Error {
    Error::Archive { what: format!("{}: {what}", folder.path) }
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
