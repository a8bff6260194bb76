//! Files: the bytes of a File column.

use std::fmt;

use bytes::Bytes;
use copilot_lake_tables::Table;
use reqwest::header::HeaderMap;

use crate::budget::Reservation;
use crate::client::{Answer, Client};
use crate::error::Error;
use crate::request::Ask;

/// Which file: a File column of a row.
#[derive(Debug, Clone)]
pub struct FileAddress {
    /// The table of the row.
    pub table: &'static Table,
    /// The row's key, part by part in the order of `table.key`.
    pub key: Vec<String>,
    /// The File column.
    pub column: &'static str,
}

/// The bytes of a file. They count against the 64 MiB that files may take in memory until this value is dropped.
///
/// Do not hold one while waiting for another in a fixed order: take them as they come. A caller who does it anyway is let
/// through, one file at a time, after 10 s each.
pub struct File {
    /// What the service sent, its length checked against what it declared.
    pub bytes: Bytes,
    /// The name under which the file was stored.
    pub name: Option<String>,
    /// Gives the room back.
    _room: Option<Reservation>,
}

impl fmt::Debug for File {
    /// Never the bytes: they hold what people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("bytes", &self.bytes.len()).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Fetches a file from the service whose Web API is at `api`.
pub(crate) async fn fetch(client: &Client, api: &url::Url, file: &FileAddress) -> Result<File, Error> {
    let ask = Ask::file(api, file)?;
    let accept = |answer: Answer| {
        let name = name(&answer.headers);
        Ok(File { bytes: answer.body, name, _room: answer.room })
    };
    client.get(&ask, accept).await.map(|(file, _)| file)
}

fn name(headers: &HeaderMap) -> Option<String> {
    let name = String::from_utf8_lossy(headers.get("x-ms-file-name")?.as_bytes()).trim().to_owned();
    (!name.is_empty()).then_some(name)
}
