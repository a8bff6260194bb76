//! The location of a lake, or of a copy of its archive, from a path or a URL.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use crate::error::Error;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::cloud_store::{self, CloudStore};
use crate::storage::counted_store::PAGE_OBJECTS;
use crate::storage::file_rights::FileRights;
use crate::storage::local_store::LocalStore;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;
use crate::storage::shown_location::{is_connection_string, shown_location};
use crate::storage::store_options::StoreOptions;

/// A location, with its store.
pub(crate) struct Location {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// Rooted at the location.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Objects in a page of a listing of the store.
    pub(crate) page: u64,
    /// The same store, when it is a local folder.
    pub(crate) local: Option<LocalStore>,
    /// How one writing command at a time is ensured.
    pub(crate) lock_kind: LockKind,
    /// Uploads that a killed run left.
    pub(crate) uploads: AbandonedUploads,
}

impl Location {
    /// The location of a path, a `file://` URL, `memory://`, or the URL of a cloud's store. What is created in a local
    /// folder gets these rights.
    pub(crate) fn parse(url: &str, rights: FileRights, options: &StoreOptions) -> Result<Self, Error> {
        let unsupported = |reason: String| Error::Unsupported { url: shown_location(url), reason };
        let not_local = |()| unsupported("it is not a local path".to_owned());
        let parsed = Url::parse(url).ok().filter(|parsed| url.contains("://") && parsed.scheme().len() > 1);
        match parsed {
            _ if is_connection_string(url) => Err(unsupported("a connection string is no location".to_owned())),
            // A folder of that name would show the secrets of the URL.
            None if url.contains("://") => Err(unsupported("it is not a valid URL".to_owned())),
            Some(parsed) if parsed.scheme() == "memory" => {
                let url = paths::memory_url().map_err(|e| unsupported(e.to_string()))?;
                let (store, uploads) = (Arc::new(InMemory::new()), AbandonedUploads::Unlisted);
                Ok(Self { url, store, page: PAGE_OBJECTS, local: None, lock_kind: LockKind::Process, uploads })
            }
            Some(parsed) if parsed.scheme() != "file" => {
                let CloudStore { url, store, uploads } = cloud_store::open(&parsed, options)?;
                Ok(Self { url, store, page: PAGE_OBJECTS, local: None, lock_kind: LockKind::Lease, uploads })
            }
            parsed => {
                let root = match parsed {
                    Some(parsed) => parsed.to_file_path().map_err(not_local)?,
                    None => absolute(Path::new(url)).map_err(|e| unsupported(e.to_string()))?,
                };
                let url = Url::from_directory_path(&root).map_err(not_local)?;
                let prefix = object_store::path::Path::from_url_path(url.path());
                let local = LocalStore::new(root, prefix.map_err(|e| unsupported(e.to_string()))?, rights);
                let lock_kind = LockKind::File(local.clone());
                let (store, uploads) = (Arc::new(local.clone()), AbandonedUploads::Unlisted);
                Ok(Self { url, store, page: PAGE_OBJECTS, local: Some(local), lock_kind, uploads })
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
    fn secrets_of_a_url_are_not_shown() {
        let cases = [
            ("./lake", "./lake"),
            ("/data/a@b?c#d", "/data/a@b?c#d"),
            ("file:///data/lake", "file:///data/lake"),
            ("s3://bucket/lake", "s3://bucket/lake"),
            ("s3://KEY:SECRET@bucket/lake", "s3://***@bucket/lake"),
            ("s3://KEY:SEC/RET@bucket/lake", "s3://***@bucket/lake"),
            ("s3://KEY:SEC@RET@bucket", "s3://***@bucket"),
            ("s3://TOKEN@bucket", "s3://***@bucket"),
            ("az://container/lake?sv=1&sig=SECRET", "az://container/lake?***"),
            ("https://a.blob.core.windows.net/c?sig=SE@CRET", "https://a.blob.core.windows.net/c?***"),
            ("gs://bucket/lake#SECRET", "gs://bucket/lake#***"),
            ("abfss://files@account.dfs.core.windows.net/lake", "abfss://files@account.dfs.core.windows.net/lake"),
            ("abfss://files:SECRET@account.dfs.core.windows.net/lake", "abfss://***@account.dfs.core.windows.net/lake"),
            ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=SECRET;BlobEndpoint=https://a", "***"),
            ("AccountName=a;AccountKey=SECRET", "***"),
            ("memory://", "memory://"),
        ];
        for (location, shown) in cases {
            assert_eq!(shown_location(location), shown, "{location}");
            let error = Location::parse(location, FileRights::Private, &StoreOptions::default())
                .err()
                .map(|error| error.to_string());
            assert!(!error.is_some_and(|text| text.contains("SEC") || text.contains("TOKEN")), "{location}");
        }
    }

    #[test]
    fn what_looks_like_a_url_is_no_folder() {
        let error =
            Location::parse("s3://KEY:SEC/RET@bucket", FileRights::Private, &StoreOptions::default()).err().unwrap();
        assert_eq!(error.to_string(), "no lake can be opened at s3://***@bucket: it is not a valid URL");
    }

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
