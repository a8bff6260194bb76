//! The tables that the emulator serves.

use copilot_lake_tables::{SYSTEM_USER, Table, dataverse_tables};

/// The newer table of interactions.
pub(crate) const EVENTS: &str = "msdyn_copilotevent";
/// The older table of interactions.
pub(crate) const INTERACTIONS: &str = "msdyn_copilotinteraction";
pub(crate) const CONTENTS: &str = "msdyn_copilotinteractiondata";
pub(crate) const TRANSCRIPTS: &str = "msdyn_copilottranscript";
pub(crate) const MESSAGES: &str = "msdyn_copilottranscriptdata";
pub(crate) const INSIGHTS: &str = "msdyn_conversationinsight";

/// Every table that mirrors Dataverse, and the table of people.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    dataverse_tables().chain([&SYSTEM_USER])
}
