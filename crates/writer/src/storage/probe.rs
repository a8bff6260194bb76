//! Whether a lake can be written to: what a commit does, with files that are removed again.

use std::path::PathBuf;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode};

use crate::error::Error;
use crate::lake::Lake;
use crate::storage::make_folders;
use crate::storage::paths;

impl Lake {
    /// Writes small files to a folder at the lake's root, as a commit does, and removes them again. The folder of a local
    /// lake is made for that when it is not there, and removed too.
    ///
    /// # Errors
    /// What could not be done, and why.
    pub async fn probe(&self) -> Result<(), Error> {
        let folder = paths::probe();
        let mut made = match &self.inner.root {
            Some(root) => {
                let made = make_folders(root);
                made.map_err(Error::file(format!("make the folder {}", root.display())))?
            }
            None => vec![],
        };
        made.splice(..0, self.inner.root.iter().map(|root| root.join(folder.as_ref())).collect::<Vec<PathBuf>>());
        let (data, entry) = (paths::probe_file(&folder, "data"), paths::probe_file(&folder, "entry"));
        let mut result = self.write(&folder, &data, &entry).await;
        for file in [&data, &entry] {
            match self.inner.store.delete(file).await {
                // It was not made, for a reason that is told already.
                Err(StoreError::NotFound { .. }) => {}
                removed => result = result.and(removed.map_err(self.failed("remove", file))),
            }
        }
        for folder in made {
            // Somebody may have begun to use it.
            let _ = std::fs::remove_dir(folder);
        }
        result
    }

    /// An upload and an entry that refuses to replace another; both are listed.
    async fn write(&self, folder: &Path, data: &Path, entry: &Path) -> Result<(), Error> {
        let (store, text) = (&self.inner.store, "This file may be deleted.");
        let failed = |file| self.failed("write", file);
        let mut upload = store.put_multipart(data).await.map_err(failed(data))?;
        upload.put_part(text.into()).await.map_err(failed(data))?;
        upload.complete().await.map_err(failed(data))?;
        store.put_opts(entry, text.into(), PutMode::Create.into()).await.map_err(failed(entry))?;
        match store.put_opts(entry, text.into(), PutMode::Create.into()).await {
            Err(StoreError::AlreadyExists { .. }) => {}
            Err(error) => return Err(failed(entry)(error)),
            Ok(_) => return Err(self.unfit("a file can be replaced by one that must not")),
        }
        let listed = store.list_with_delimiter(Some(folder)).await.map_err(self.failed("list", folder))?;
        if [data, entry].iter().all(|file| listed.objects.iter().any(|listed| listed.location == **file)) {
            Ok(())
        } else {
            Err(self.unfit("files that were written are not listed"))
        }
    }

    fn failed(&self, action: &str, path: &Path) -> impl FnOnce(StoreError) -> Error + use<> {
        Error::store(format!("{action} {path} in {}", self.url()))
    }

    fn unfit(&self, reason: &str) -> Error {
        Error::Unsupported {
            url: self.url().to_string(),
            reason: format!("this file system cannot hold a lake: {reason}"),
        }
    }
}
