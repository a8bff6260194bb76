//! A file at a URL of a store, written apart from any lake: the result of a query.

use object_store::path::Path;
use url::Url;

use crate::error::Error;
use crate::memory::MemoryPool;
use crate::storage::cloud_store::{self, CloudStore};
use crate::storage::file_upload::FileUpload;
use crate::storage::part_upload::UploadTarget;
use crate::storage::shown_location::shown_location;
use crate::storage::store_options::StoreOptions;

/// Bytes of a part of an upload: an object of 10,000 parts, which is the most that S3 takes, has 80 GiB.
const PART_BYTES: usize = 8 << 20;

/// Memory of parts that are sent while the next one is made.
const MEMORY: usize = 3 * PART_BYTES;

/// A file in a store that is being written: nobody sees it before [`StoredFile::finish`], which replaces one of that name.
pub struct StoredFile {
    upload: FileUpload,
    shown: String,
}

impl StoredFile {
    /// The file at a URL. Nothing is requested.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a URL of no known store, or of none of its files.
    pub fn new(url: &str, options: &StoreOptions) -> Result<Self, Error> {
        let shown = shown_location(url);
        let unsupported = |reason: &str| Error::Unsupported { url: shown.clone(), reason: reason.to_owned() };
        let mut folder = Url::parse(url).map_err(|_| unsupported("it is not a valid URL"))?;
        let name = folder.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(unsupported("it names no file"));
        }
        let path = Path::from_url_path(&name).map_err(|_| unsupported("its file has no valid name"))?;
        folder.path_segments_mut().map_err(|()| unsupported("it names no file"))?.pop();
        let CloudStore { store, .. } = cloud_store::open(&folder, options)?;
        let to = UploadTarget {
            store,
            path,
            keeps_parts: true,
            // What is shorter than a part takes one request.
            single_bytes: PART_BYTES,
            replaces: true,
            unsettled: None,
            memory: Some(MemoryPool::new(MEMORY)),
        };
        Ok(Self { upload: FileUpload::new(to, PART_BYTES), shown })
    }

    /// Adds to the file.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let failed = Error::store(format!("write {}", self.shown));
        self.upload.write(bytes).await.map_err(failed)
    }

    /// Publishes the file under its name, or leaves nothing of it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn finish(mut self) -> Result<(), Error> {
        let finished = self.upload.finish().await;
        if finished.is_err() {
            self.upload.discard().await;
        }
        finished.map_err(Error::store(format!("write {}", self.shown)))
    }

    /// Discards what was sent.
    pub async fn discard(self) {
        self.upload.discard().await;
    }
}
