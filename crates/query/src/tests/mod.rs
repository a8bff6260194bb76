//! Tests over small lakes, whose files are written as the writer does.

mod activity;
mod duckdb;
mod lake;
mod questions;
mod sessions;
