//! Where a run archives, and whose data that is.

use copilot_lake_writer::RunArchive;

/// Where a run archives pages and payloads.
pub(crate) struct ArchiveTarget {
    /// Whose data is archived.
    pub(crate) organization: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) run_archive: RunArchive,
}
