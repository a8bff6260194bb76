//! Whether a lake can be written to: a file that is written and removed again.

use std::path::{Path, PathBuf};

use object_store::ObjectStoreExt;

use crate::error::Error;
use crate::lake::Lake;
use crate::paths;

impl Lake {
    /// Writes a small file at the lake's root and removes it again. The folder of a local lake is made for that when it
    /// is not there, and removed too.
    ///
    /// # Errors
    /// What could not be done, and why.
    pub async fn probe(&self) -> Result<(), Error> {
        let made = match &self.inner.root {
            Some(root) => make_folders(root)?,
            None => vec![],
        };
        let result = self.write_and_remove().await;
        for folder in made {
            // Somebody may have begun to use it.
            let _ = std::fs::remove_dir(folder);
        }
        result
    }

    async fn write_and_remove(&self) -> Result<(), Error> {
        let (path, url, store) = (paths::probe(), self.url(), &self.inner.store);
        let written = store.put(&path, "This file may be deleted.".into()).await;
        written.map_err(Error::store(format!("write {path} to {url}")))?;
        store.delete(&path).await.map_err(Error::store(format!("remove {path} from {url}")))
    }
}

/// Makes a folder and those that it lies in; returns the ones that were not there, the innermost first.
fn make_folders(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing = root.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    std::fs::create_dir_all(root).map_err(Error::file(format!("make the folder {}", root.display())))?;
    Ok(missing)
}
