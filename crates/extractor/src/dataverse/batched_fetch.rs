//! Fetching files in batches, where a table's files are the same in both ways.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tracing::debug;
use url::Url;

use super::file::FileContent;
use super::file_address::FileAddress;
use super::file_batch::{self, FilePart};
use super::file_batches::{FileBatches, Sample};
use super::request;
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::FilePortion;

/// What a batch brought of a file.
#[derive(Debug)]
pub enum BatchedFile {
    /// The answer that a request for this file alone would have got.
    Fetched(Result<FileContent, Error>),
    /// Nothing that can be used: the file is to be fetched by itself.
    Unfetched,
}

/// Fetches files of one table in a batch. None of them waits for another's attempts: what a batch does not bring is left
/// to the caller, who may hold no memory while it is fetched.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    batches: &FileBatches,
    files: &[FileAddress],
) -> Result<Vec<BatchedFile>, Error> {
    let Some(table) = files.first().map(|file| file.table.name) else { return Ok(Vec::new()) };
    let expected = batches.expected_bytes(table, files.len());
    let (parts, identity) = match file_batch::fetch(client, api, files, expected).await {
        Ok((parts, cost)) => {
            batches.observe(table, cost, client.identities.in_flight_limit());
            (parts, cost.identity)
        }
        Err(error) if error.is_service_wide() => return Err(error),
        Err(Error::FileTooLarge { size, .. }) => {
            debug!(table, files = files.len(), size, "the files of a batch are too large together");
            batches.shrink(table);
            return Ok(files.iter().map(|_| BatchedFile::Unfetched).collect());
        }
        Err(error) => {
            batches.give_up(table, &error.to_string());
            return Ok(files.iter().map(|_| BatchedFile::Unfetched).collect());
        }
    };
    let mut fetched = Vec::with_capacity(files.len());
    for (file, part) in files.iter().zip(parts) {
        fetched.push(match part {
            FilePart::Bytes(bytes) => {
                BatchedFile::Fetched(Ok(FileContent { bytes, name: file.name.clone(), declared_size: None }))
            }
            FilePart::Response { status, headers, body } => {
                refusal(client, api, (identity, file), (status, &headers, &body)).await?
            }
            FilePart::Unusable => {
                batches.give_up(table, "a batch does not bring a file");
                BatchedFile::Unfetched
            }
        });
    }
    Ok(fetched)
}

/// What a response that is no success means: the file's own failure, or that it is to be fetched by itself.
async fn refusal(
    client: &Client,
    api: &Url,
    (identity, file): (usize, &FileAddress),
    response: (StatusCode, &HeaderMap, &[u8]),
) -> Result<BatchedFile, Error> {
    let request = request::file_request(api, file, FilePortion::HeadersOnly)?;
    Ok(match client.refusal_in_batch((identity, &request), response).await? {
        // Another identity may read it.
        Some(error) if error.may_concern_identity() && client.identities.used().len() > 1 => BatchedFile::Unfetched,
        Some(error @ (Error::FileMissing { .. } | Error::PermissionMissing { .. } | Error::ColumnSecured { .. })) => {
            BatchedFile::Fetched(Err(error))
        }
        _ => BatchedFile::Unfetched,
    })
}

/// A comparison; dropping it ends it, wherever it is.
struct SampleComparison<'b> {
    batches: &'b FileBatches,
    table: &'static str,
}

impl Drop for SampleComparison<'_> {
    fn drop(&mut self) {
        self.batches.compared(self.table);
    }
}

/// Fetches files in batches that were fetched one by one before, and decides how the others of their table are fetched.
///
/// # Errors
/// Those because of which no other file can be fetched either.
pub(crate) async fn compare(
    client: &Client,
    api: &Url,
    batches: &FileBatches,
    (table, samples): (&'static str, Vec<Vec<Sample>>),
) -> Result<(), Error> {
    let _comparison = SampleComparison { batches, table };
    for samples in samples {
        let files: Vec<_> = samples.iter().map(|sample| sample.file.clone()).collect();
        let parts = match file_batch::fetch(client, api, &files, 0).await {
            Ok((parts, _)) => parts,
            Err(error) if error.is_service_wide() => return Err(error),
            Err(error) => {
                batches.give_up(table, &error.to_string());
                return Ok(());
            }
        };
        let mut compared = samples.iter().zip(&parts);
        if let Some(difference) = compared.find_map(|(sample, part)| sample.difference(part)) {
            batches.give_up(table, difference);
            return Ok(());
        }
    }
    batches.proven(table);
    Ok(())
}
