//! Tests whether a lake can be written: does what a commit does, with files that it removes again.

use std::path::PathBuf;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode};

use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::folders::make_folders;
use crate::storage::paths;

/// Writes small files to a folder at the root, as a commit does, and removes them again.
pub(crate) async fn probe(lake: &LakeStorage) -> Result<(), Error> {
    let folder = paths::probe();
    let mut made = match &lake.local {
        Some(local) => {
            let made = make_folders(local.root(), local.rights());
            made.map_err(Error::file(format!("create the folder {}", local.root().display())))?
        }
        None => vec![],
    };
    made.splice(..0, lake.root.iter().map(|root| root.join(folder.as_ref())).collect::<Vec<PathBuf>>());
    let (data, entry) = (paths::probe_file(&folder, "data"), paths::probe_file(&folder, "entry"));
    let mut result = write(lake, &folder, &data, &entry).await;
    for file in [&data, &entry] {
        match lake.store.delete(file).await {
            // It was not created, for a reason already in the result.
            Err(StoreError::NotFound { .. }) => {}
            removed => result = result.and(removed.map_err(failed(lake, "remove", file))),
        }
    }
    for folder in made {
        // It stays if another process uses it by now.
        let _ = std::fs::remove_dir(folder);
    }
    result
}

/// Writes an upload, and an entry that must not replace another; checks that both are listed.
async fn write(lake: &LakeStorage, folder: &Path, data: &Path, entry: &Path) -> Result<(), Error> {
    let (store, text) = (&lake.store, "This file may be deleted.");
    let unwritten = |file| failed(lake, "write", file);
    let mut upload = store.put_multipart(data).await.map_err(unwritten(data))?;
    upload.put_part(text.into()).await.map_err(unwritten(data))?;
    upload.complete().await.map_err(unwritten(data))?;
    store.put_opts(entry, text.into(), PutMode::Create.into()).await.map_err(unwritten(entry))?;
    match store.put_opts(entry, text.into(), PutMode::Create.into()).await {
        Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(unwritten(entry)(error)),
        Ok(_) => return Err(unsuitable(lake, "a file that must not be replaced was replaced")),
    }
    let listed = store.list_with_delimiter(Some(folder)).await.map_err(failed(lake, "list", folder))?;
    if [data, entry].iter().all(|file| listed.objects.iter().any(|listed| listed.location == **file)) {
        Ok(())
    } else {
        Err(unsuitable(lake, "files that were written are not listed"))
    }
}

fn failed(lake: &LakeStorage, action: &str, path: &Path) -> impl FnOnce(StoreError) -> Error + use<> {
    Error::store(format!("{action} {path} in {}", lake.url))
}

fn unsuitable(lake: &LakeStorage, reason: &str) -> Error {
    Error::Unsupported { url: lake.url.to_string(), reason: format!("this file system cannot hold a lake: {reason}") }
}
