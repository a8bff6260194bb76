//! One file per command.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod emulator;
pub(crate) mod extract;
pub(crate) mod plan;
#[cfg(feature = "query")]
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod tables;
