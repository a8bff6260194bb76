//! Opens the lake in DataFusion: its tables as the Delta log has them, the shipped views and queries, and the
//! functions that let the same SQL text run in DuckDB.
//!
//! [`Session::open`] reads the log once; queries then see that state of the lake.

mod casts;
mod duckdb;
mod error;
mod getvariable;
mod lake_table;
mod session;
mod shipped;
mod timezone;

pub use duckdb::{DuckdbViews, duckdb_views};
pub use error::Error;
pub use session::{ResultRows, Session};
pub use shipped::{Parameter, QUERIES, Shipped, VIEWS, query};

#[cfg(test)]
mod tests;
