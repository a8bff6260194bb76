//! The forms of the views for DuckDB.

use clap::ValueEnum;

/// What views for DuckDB read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DuckdbForm {
    /// The files that the log names now: print them again after each extract.
    Files,
    /// The log, by DuckDB's extension `delta`: they follow every extract.
    Delta,
}
