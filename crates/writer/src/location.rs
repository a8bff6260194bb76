//! Where a lake or a copy of its archive is: what a path or a URL comes to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::error::Error;
use crate::paths;

/// A place in a store.
pub(crate) struct Location {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// Rooted where the URL's paths are.
    pub(crate) whole_store: Arc<dyn ObjectStore>,
    /// The folder, when it is a local one.
    pub(crate) root: Option<PathBuf>,
}

impl Location {
    /// The place at a path, a `file://` URL, or `memory://`.
    pub(crate) fn of(url: &str) -> Result<Self, Error> {
        let unsupported = |reason: String| Error::Unsupported { url: url.to_owned(), reason };
        let parsed = Url::parse(url).ok().filter(|parsed| url.contains("://") && parsed.scheme().len() > 1);
        match parsed {
            Some(parsed) if parsed.scheme() == "memory" => {
                let url = paths::memory_url().map_err(|e| unsupported(e.to_string()))?;
                Ok(Self { url, whole_store: Arc::new(InMemory::new()), root: None })
            }
            Some(parsed) if parsed.scheme() != "file" => {
                Err(unsupported(format!("scheme {} is not supported yet", parsed.scheme())))
            }
            parsed => {
                let root = match parsed {
                    Some(parsed) => parsed.to_file_path().map_err(|()| unsupported("it is not a path".to_owned()))?,
                    None => std::path::absolute(Path::new(url)).map_err(|e| unsupported(e.to_string()))?,
                };
                let url = Url::from_directory_path(&root).map_err(|()| unsupported("it is not a path".to_owned()))?;
                Ok(Self { url, whole_store: Arc::new(LocalFileSystem::new()), root: Some(root) })
            }
        }
    }

    /// The store, rooted at the place.
    pub(crate) fn store(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        let prefix = object_store::path::Path::from_url_path(self.url.path());
        let prefix = prefix.map_err(|e| Error::Unsupported { url: self.url.to_string(), reason: e.to_string() })?;
        Ok(Arc::new(PrefixStore::new(Arc::clone(&self.whole_store), prefix)))
    }
}
