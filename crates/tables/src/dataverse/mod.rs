//! Mirrors of Dataverse tables: one file per table.

mod copilot_event;
mod interaction_context;

pub use copilot_event::COPILOT_EVENT;
