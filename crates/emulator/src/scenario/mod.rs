//! Scenarios as TOML: the data that the emulator has and how it misbehaves.
//!
//! Describes and validates; generates no data and answers no requests.

pub(crate) mod definition;
pub(crate) mod fault_spec;
pub(crate) mod graph;
pub(crate) mod service_settings;
pub(crate) mod specs;
pub(crate) mod toml_value;
