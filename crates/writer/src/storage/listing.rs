//! Listing a folder of a lake.

use std::path::Path as FilePath;

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::paths;

/// A file in a folder of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// Within the lake.
    pub(crate) path: String,
    /// Its name alone.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was written, in milliseconds.
    pub(crate) modified: i64,
    /// Whether it belongs to the log.
    pub(crate) is_log: bool,
}

/// Lists the files of a folder, staged ones included, except in folders below that are hidden by convention. A missing
/// folder has none.
pub(crate) async fn list(lake: &LakeStorage, folder: &Path) -> Result<Vec<ListedFile>, Error> {
    let mut found = Vec::new();
    if let Some(root) = &lake.root {
        // The store hides staged files.
        walk(root, folder.as_ref(), false, &mut found).map_err(Error::file(format!("list {folder}")))?;
        return Ok(found);
    }
    let mut files = lake.store.list(Some(folder));
    while let Some(meta) = files.try_next().await.map_err(Error::store(format!("list {folder}")))? {
        let path = meta.location.to_string();
        let mut parts = path.split('/').skip(folder.parts().count()).collect::<Vec<_>>();
        let name = parts.pop().unwrap_or_default().to_owned();
        let is_log = parts.first() == Some(&paths::LOG);
        if is_log || !parts.iter().any(|part| paths::is_hidden(part)) {
            let modified = meta.last_modified.timestamp_millis();
            found.push(ListedFile { path, name, size: meta.size, modified, is_log });
        }
    }
    Ok(found)
}

fn walk(root: &FilePath, folder: &str, is_log: bool, found: &mut Vec<ListedFile>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Links are followed: partitions may be on another disk.
        let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
        let path = format!("{folder}/{name}");
        if meta.is_dir() {
            if name == paths::LOG || !paths::is_hidden(&name) {
                walk(root, &path, is_log || name == paths::LOG, found)?;
            }
        } else {
            let since = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let modified = since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default();
            found.push(ListedFile { path, name, size: meta.len(), modified, is_log });
        }
    }
    Ok(())
}
