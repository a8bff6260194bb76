//! Merging archives: bundles are concatenated as they are, and the index follows.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::archive::blocking::blocking;
use crate::archive::finished::FinishedArchive;
use crate::archive::size_limit::SizeLimit;
use crate::archive::writer::Archive;
use crate::error::Error;
use crate::storage::paths;

/// Writes what these archives have, in their order, into another one, and completes that. All have one bundle at most.
pub(super) async fn merge(
    store: &Arc<dyn ObjectStore>,
    merged: Archive,
    archives: &[FinishedArchive],
) -> Result<FinishedArchive, Error> {
    let mut slices = String::new();
    for archive in archives {
        let before = u32::try_from(slices.lines().count()).unwrap_or(u32::MAX);
        if archive.index_bytes > 0 {
            let index = read(store, &paths::archived_index(&archive.folder)).await?;
            let action = format!("decompress the index of {}", archive.folder);
            let index = blocking(action, move || SizeLimit::DESCRIPTION.decompress(&index)).await?;
            merged.append_index(&String::from_utf8_lossy(&index), before).await?;
        }
        if !archive.bundles.is_empty() {
            let path = paths::archived_bundle(&archive.folder, 1);
            let error = || Error::store(format!("read {path}"));
            let mut pieces = store.get(&path).await.map_err(error())?.into_stream();
            while let Some(piece) = pieces.try_next().await.map_err(error())? {
                merged.append(&piece).await?;
            }
        }
        let described = read(store, &paths::archived_slice(&archive.folder)).await?;
        slices.push_str(String::from_utf8_lossy(&described).trim_end());
        slices.push('\n');
    }
    merged.finish(slices).await
}

/// Removes an archive: its description first, without which it is ignored.
pub(super) async fn remove(store: &Arc<dyn ObjectStore>, archive: &FinishedArchive) -> Result<(), Error> {
    let mut files = vec![paths::archived_slice(&archive.folder)];
    if archive.index_bytes > 0 {
        files.push(paths::archived_index(&archive.folder));
    }
    files.extend((1..).zip(&archive.bundles).map(|(number, _)| paths::archived_bundle(&archive.folder, number)));
    for path in files {
        store.delete(&path).await.map_err(Error::store(format!("delete {path}")))?;
    }
    Ok(())
}

async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<bytes::Bytes, Error> {
    let read = async { store.get(path).await?.bytes().await };
    read.await.map_err(Error::store(format!("read {path}")))
}
