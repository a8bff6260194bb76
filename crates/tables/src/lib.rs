//! What exists: tables, columns, choice sets, weeks, and what follows from them.
//!
//! A [`Table`] is one `static` value. Everything else is derived from it by walking [`TABLES`]: the Arrow schema and the
//! Parquet settings ([`Layout`]), what is selected on the wire, the decoders, the Delta schema, SQL registration, the
//! emulator's rows and metadata, and the documentation.
//!
//! ```
//! use copilot_lake_tables::{TABLES, Week, table};
//! let events = table("msdyn_copilotevent").expect("a known table");
//! assert!(TABLES.len() >= 5);
//! assert_eq!(events.layout().schema().field(0).name(), "msdyn_copiloteventid");
//! assert_eq!(Week::from_partition_id("20250622-20250628-100230203").unwrap().to_string(), "2025-06-22");
//! ```

mod choice;
mod column;
mod dataverse;
mod graph;
mod instant;
mod join;
mod lake;
mod layout;
mod service;
mod table;
mod time;
mod view;
mod week;

pub use choice::{AI_AGENT, ChoiceSet, INTERACTION_TYPE, Labels, SCENARIO_TYPE};
pub use column::{Column, JsonColumn, Type, is_guid};
pub use dataverse::{
    CONVERSATION_INSIGHT, COPILOT_EVENT, COPILOT_INTERACTION, COPILOT_INTERACTION_DATA, COPILOT_TRANSCRIPT,
    COPILOT_TRANSCRIPT_DATA, SYSTEM_USER,
};
pub use graph::{
    AI_INTERACTION, AI_INTERACTION_ATTACHMENT, AI_INTERACTION_CONTEXT, AI_INTERACTION_LINK, AI_INTERACTION_MENTION,
    GRAPH_USER, INTERACTION_CHILDREN,
};
pub use instant::Instant;
pub use join::{Join, joins};
pub use lake::{EXTRACTION_RUN, EXTRACTION_SLICE, PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE};
pub use layout::{Field, Layout, Origin};
pub use service::{MAX_FILE_BYTES, MAX_PAGE_BYTES, Service};
pub use table::{OWN_SOURCE, Source, Table};
pub use time::TimeOf;
pub use view::{CALENDAR, CALENDAR_WEEKS, COPILOT_REQUEST, M365_TURN};
pub use week::Week;

/// The version of the lake's layout; within one version columns are only added.
pub const SCHEMA_VERSION: u32 = 2;

/// The partition column of every table that has weeks: a `DATE` in the path, never inside a file.
pub const WEEK_START: &str = "week_start";

/// Every table of the lake, in the order in which the documentation lists them.
pub static TABLES: &[&Table] = &[
    &COPILOT_EVENT,
    &COPILOT_INTERACTION,
    &COPILOT_INTERACTION_DATA,
    &COPILOT_TRANSCRIPT,
    &COPILOT_TRANSCRIPT_DATA,
    &CONVERSATION_INSIGHT,
    &PAYLOAD,
    &TRANSCRIPT_MESSAGE,
    &TRANSCRIPT_SOURCE,
    &SYSTEM_USER,
    &AI_INTERACTION,
    &AI_INTERACTION_ATTACHMENT,
    &AI_INTERACTION_CONTEXT,
    &AI_INTERACTION_LINK,
    &AI_INTERACTION_MENTION,
    &GRAPH_USER,
    &COPILOT_REQUEST,
    &M365_TURN,
    &CALENDAR,
    &EXTRACTION_RUN,
    &EXTRACTION_SLICE,
    &REJECTED_RECORD,
];

/// The tables that mirror those of Dataverse.
pub fn dataverse_tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().copied().filter(|table| matches!(table.source, Source::Dataverse { .. }))
}

/// The materialized views, in the order in which they are made.
pub fn views() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().copied().filter(|table| table.view_of().is_some())
}

/// A table that is read slice by slice, and the tables whose rows arrive with its own: those that are derived from it,
/// and those that its service lists besides.
pub fn written_with(table: &'static Table) -> impl Iterator<Item = &'static Table> {
    TABLES.iter().copied().filter(move |other| other.name == table.name || table.brings(other))
}

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name).copied()
}

#[cfg(test)]
mod tests;
