//! Interactions of Microsoft 365 Copilot, from Graph: history pages to rows of `ai_interaction` and its child tables.
//!
//! Knows nothing of Dataverse pages and payloads.

mod card;
pub(crate) mod history;
pub(crate) mod html;
pub(crate) mod interactions;
mod text;
