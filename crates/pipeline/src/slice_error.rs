//! The errors of a slice.

/// Why a slice was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SliceError {
    /// The run was stopped: the slice leaves no trace.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Service(copilot_lake_extractor::Error),
    #[error(transparent)]
    Decode(#[from] copilot_lake_decoder::Error),
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
}

impl From<copilot_lake_extractor::Error> for SliceError {
    fn from(error: copilot_lake_extractor::Error) -> Self {
        match error {
            copilot_lake_extractor::Error::Stopped => Self::Stopped,
            error => Self::Service(error),
        }
    }
}
