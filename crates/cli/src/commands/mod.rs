//! The commands, one file each, from flags to exit code.
//!
//! A command reads the configuration, calls the crate that does the work and hands what comes back to `output`. It does
//! not format numbers, read the environment or write to stderr itself.

pub(crate) mod check;
pub(crate) mod completions;
#[cfg(feature = "demo")]
pub(crate) mod demo;
#[cfg(feature = "demo")]
pub(crate) mod emulator;
pub(crate) mod extract;
mod lake;
pub(crate) mod plan;
#[cfg(feature = "query")]
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod status;
pub(crate) mod tables;
