//! Pages of Dataverse: the rows of a page to batches.
//!
//! A page is read by the [`fast_path`], and once more by the [`slow_path`] when it holds anything unexpected.

pub(crate) mod decode_page;
pub(crate) mod decoded;
mod fast_path;
mod page_columns;
mod row_misfit;
mod slow_path;
mod wire_names;
