//! The commands, one file each, from flags to exit code.
//!
//! A command reads the configuration, calls the crate that does the work and hands what comes back to `output`. It does
//! not format numbers, read the environment or write to stderr itself.

pub(crate) mod check;
pub(crate) mod completions;
mod definition;
#[cfg(feature = "demo")]
pub(crate) mod demo;
mod dictionary;
#[cfg(feature = "demo")]
pub(crate) mod emulator;
#[cfg(feature = "query")]
pub(crate) mod engine;
pub(crate) mod extract;
mod lake;
pub(crate) mod maintain;
#[cfg(feature = "query")]
mod outdated;
#[cfg(feature = "query")]
mod output_flag;
#[cfg(feature = "query")]
mod parameters;
pub(crate) mod plan;
#[cfg(feature = "query")]
pub(crate) mod query;
pub(crate) mod replay;
#[cfg(feature = "query")]
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod tables;
mod views;
#[cfg(feature = "workers")]
pub(crate) mod worker;
