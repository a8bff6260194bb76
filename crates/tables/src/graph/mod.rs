//! Tables of Microsoft 365 Copilot, read through Microsoft Graph.
//!
//! Properties: the vendor's resource pages of `aiInteraction` and `user`.

mod ai_interaction;
mod ai_interaction_attachment;
mod ai_interaction_context;
mod ai_interaction_link;
mod ai_interaction_mention;
mod graph_user;

pub use ai_interaction::AI_INTERACTION;
pub use ai_interaction_attachment::AI_INTERACTION_ATTACHMENT;
pub use ai_interaction_context::AI_INTERACTION_CONTEXT;
pub use ai_interaction_link::AI_INTERACTION_LINK;
pub use ai_interaction_mention::AI_INTERACTION_MENTION;
pub use graph_user::GRAPH_USER;

/// What belongs to interactions, keyed by theirs and a position: committed before them.
pub static INTERACTION_CHILDREN: [&crate::Table; 4] =
    [&AI_INTERACTION_ATTACHMENT, &AI_INTERACTION_CONTEXT, &AI_INTERACTION_LINK, &AI_INTERACTION_MENTION];
