//! What the program prints: messages, progress and the summary of a run on stderr, query results on stdout.
//!
//! Nothing here knows a command or loads the configuration.

#[cfg(feature = "query")]
mod aligned;
#[cfg(feature = "query")]
mod cells;
#[cfg(feature = "query")]
mod column_widths;
pub(crate) mod console;
#[cfg(feature = "query")]
mod csv_texts;
#[cfg(feature = "query")]
mod json_escapes;
pub(crate) mod maintenance;
#[cfg(feature = "query")]
mod newest_weeks;
#[cfg(feature = "query")]
mod output_file;
#[cfg(feature = "query")]
pub(crate) mod output_target;
pub(crate) mod printable;
pub(crate) mod progress;
#[cfg(feature = "query")]
mod records;
pub(crate) mod remedy;
#[cfg(feature = "query")]
pub(crate) mod result;
#[cfg(feature = "query")]
mod shown_rows;
pub(crate) mod status;
#[cfg(feature = "query")]
mod store_output;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod wording;
mod wrapping;
