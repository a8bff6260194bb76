//! The location of a lake, or of a copy of its archive, from a path or a URL.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use crate::error::Error;
use crate::storage::local_store::LocalStore;
use crate::storage::paths;

/// A location, with its store.
pub(crate) struct Location {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// Rooted at the location.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store, when it is a local folder.
    pub(crate) local: Option<LocalStore>,
}

impl Location {
    /// The location of a path, a `file://` URL, or `memory://`.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let unsupported = |reason: String| Error::Unsupported { url: url.to_owned(), reason };
        let not_local = |()| unsupported("it is not a local path".to_owned());
        let parsed = Url::parse(url).ok().filter(|parsed| url.contains("://") && parsed.scheme().len() > 1);
        match parsed {
            Some(parsed) if parsed.scheme() == "memory" => {
                let url = paths::memory_url().map_err(|e| unsupported(e.to_string()))?;
                Ok(Self { url, store: Arc::new(InMemory::new()), local: None })
            }
            Some(parsed) if parsed.scheme() != "file" => {
                Err(unsupported(format!("scheme {} is not supported yet", parsed.scheme())))
            }
            parsed => {
                let root = match parsed {
                    Some(parsed) => parsed.to_file_path().map_err(not_local)?,
                    None => absolute(Path::new(url)).map_err(|e| unsupported(e.to_string()))?,
                };
                let url = Url::from_directory_path(&root).map_err(not_local)?;
                let prefix = object_store::path::Path::from_url_path(url.path());
                let local = LocalStore::new(root, prefix.map_err(|e| unsupported(e.to_string()))?);
                Ok(Self { url, store: Arc::new(local.clone()), local: Some(local) })
            }
        }
    }
}

/// The absolute path without `..`, resolved as the system does it where `..` follows a link.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        if component == Component::ParentDir {
            // A folder that does not exist yet cannot be a link.
            resolved = resolved.canonicalize().unwrap_or(resolved);
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_up_as_the_system_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let of = |path: &str| absolute(&root.join(path)).unwrap();
        assert_eq!(of("a/../lake"), root.join("lake"));
        assert_eq!(of("a/b/.././../lake/"), root.join("lake"));
        assert_eq!(of("absent/../lake"), root.join("lake"));
        assert_eq!(absolute(Path::new("/../../lake")).unwrap(), Path::new("/lake"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
            assert_eq!(of("link/../lake"), root.join("a/lake"));
            assert_eq!(of("link/lake"), root.join("link/lake"));
        }
    }
}
