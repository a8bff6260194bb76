//! Tests over small lakes, whose files are written as the writer does.

mod activity;
mod duckdb;
mod failures;
mod lake;
mod materialized;
mod questions;
mod sessions;
mod statements;
mod stored_views;
#[cfg(feature = "workers")]
mod workers;
