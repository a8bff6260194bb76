//! Uploads that a killed run has begun and never ended: their parts take room, and no listing of objects shows them.
//! Azure forgets them after a week. Google's need a rule of the bucket.

use object_store::path::Path;

use crate::error::Error;
#[cfg(feature = "s3")]
use crate::storage::s3_uploads::S3Uploads;

/// Where uploads that were never ended are found.
#[derive(Default)]
pub(crate) enum AbandonedUploads {
    /// There are none, or they cannot be listed.
    #[default]
    Unlisted,
    #[cfg(feature = "s3")]
    S3(Box<S3Uploads>),
}

impl AbandonedUploads {
    /// Counts those of this program's data files and bundles. Uploads of a running command look the same.
    pub(crate) async fn count(&self) -> Result<usize, Error> {
        match self {
            Self::Unlisted => Ok(0),
            #[cfg(feature = "s3")]
            Self::S3(uploads) => uploads.count().await.map_err(Error::store("list uploads")),
        }
    }

    /// Aborts them. Returns how many. The caller must hold the lease: uploads of a running command look the same.
    pub(crate) async fn abort(&self) -> Result<usize, Error> {
        match self {
            Self::Unlisted => Ok(0),
            #[cfg(feature = "s3")]
            Self::S3(uploads) => uploads.abort().await.map_err(Error::store("abort uploads")),
        }
    }

    /// Those below a folder.
    #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "no store lists uploads"))]
    pub(crate) fn below(&self, folder: &Path) -> Self {
        match self {
            Self::Unlisted => Self::Unlisted,
            #[cfg(feature = "s3")]
            Self::S3(uploads) => Self::S3(Box::new(uploads.below(folder))),
        }
    }
}
