//! Data files: sorted rows in, Parquet out, and back.
//!
//! Knows Arrow, Parquet and the layout of a table; knows neither the log nor what is merged. Inside this crate
//! `crate::parquet` is this folder and `::parquet` the library.

pub(crate) mod conform;
pub(crate) mod key_probe;
mod page_reader;
pub(crate) mod properties;
pub(crate) mod reader;
pub(crate) mod row_selection;
pub(crate) mod small_file;
mod spill;
pub(crate) mod statistics;
mod store_reader;
mod upload;
pub(crate) mod writer;
