//! Scenarios as TOML: the data that the emulator has and how it misbehaves.
//!
//! Describes and validates; generates no data and answers no request.

pub(crate) mod definition;
pub(crate) mod fault;
pub(crate) mod graph;
pub(crate) mod moment;
pub(crate) mod settings;
pub(crate) mod specs;
