//! One file per command.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod emulator;
pub(crate) mod extract;
#[cfg(feature = "query")]
pub(crate) mod query;
pub(crate) mod tables;
