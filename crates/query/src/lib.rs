//! Opens the lake in DataFusion: its tables as the Delta log has them, the shipped views and queries, and the
//! functions that let the same SQL text run in DuckDB.
//!
//! [`Session::open`] reads the log once; queries then see that state of the lake. It is told which materialized views are
//! current: of these it reads the stored rows, and it computes the others.

mod division;
mod duckdb;
mod engine;
mod error;
mod fallible;
mod fresh_part;
mod functions;
mod group_hash;
mod lake_table;
mod materialized;
mod one_ahead;
mod one_row;
mod parameter;
mod part_rows;
mod row_groups;
mod session;
mod shipped;
mod split_memory;
mod statement;
mod stored_view;
mod text_parameters;
mod time_text;
mod value_failure;
mod week_links;
mod week_parts;
#[cfg(feature = "workers")]
mod workers;

pub use duckdb::{DuckdbViews, duckdb_views};
pub use error::Error;
pub use fresh_part::{FreshBatch, FreshPart};
pub use functions::local_time;
pub use materialized::fresh_parts;
pub use parameter::{Parameter, ParameterType};
pub use session::{ResultRows, Session};
pub use shipped::{QUERIES, Shipped, VIEWS, materialized_views_in, query, view, view_definition};
pub use text_parameters::TextParameters;
#[cfg(feature = "workers")]
pub use workers::{
    channels::worker_url,
    client::{WorkerAccess, Workers},
    server::{WorkerServer, WorkerTls},
    token::WorkerToken,
};

#[cfg(test)]
mod tests;
