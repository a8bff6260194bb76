//! Uploads that a killed run has begun and never ended: their parts take room, and no listing of objects shows them.
//! Azure forgets them after a week. Google's need a rule of the bucket.

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
    /// Aborts those of this program's data files and bundles. The caller must hold the lease: uploads of a running one look the same.
    pub(crate) async fn abort(&self) -> Result<(), Error> {
        match self {
            Self::Unlisted => Ok(()),
            #[cfg(feature = "s3")]
            Self::S3(uploads) => uploads.abort().await.map_err(Error::store("abort uploads that a killed run began")),
        }
    }
}
