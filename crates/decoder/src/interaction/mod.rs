//! Interactions of Microsoft 365 Copilot: a page of `getAllEnterpriseInteractions` to rows of `ai_interaction` and its
//! child tables.
//!
//! The service's answer is paced far below what a core can read, so that there is one way through it: value by value,
//! with the raw text of what does not fit.

mod card;
pub(crate) mod history;
pub(crate) mod html;
pub(crate) mod interactions;
mod text;
