//! Why a run ended without a report.

use copilot_lake_tables::Instant;

/// Why a run could not be started or finished; what fails for one slice is in the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lake could not be locked, prepared, read or written.
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
    /// The service could not be reached or refused the sign-in.
    #[error(transparent)]
    Service(#[from] copilot_lake_extractor::Error),
    /// A batch could not be built.
    #[error(transparent)]
    Decode(#[from] copilot_lake_decoder::Error),
    /// The request names a window that is empty.
    #[error("the window from {since} to {until} is empty")]
    EmptyWindow {
        /// Its start.
        since: Instant,
        /// Its end.
        until: Instant,
    },
}
