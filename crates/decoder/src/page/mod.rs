//! Dataverse pages: the JSON rows of a page to record batches.
//!
//! The [`fast_path`] reads a page, and the [`slow_path`] reads it again if it holds anything unexpected. Knows no
//! service and no payloads.

pub(crate) mod decode_page;
pub(crate) mod decoded;
mod fast_path;
mod page_columns;
mod row_misfit;
mod slow_path;
mod wire_names;
