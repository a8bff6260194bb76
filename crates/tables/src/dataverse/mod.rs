//! Tables of Dataverse: one file per table.

mod conversation_insight;
mod copilot_event;
mod copilot_interaction;
mod copilot_interaction_data;
mod copilot_summary;
mod copilot_transcript;
mod copilot_transcript_data;
mod interaction_context;
mod shared;
mod system_user;

pub use conversation_insight::CONVERSATION_INSIGHT;
pub use copilot_event::COPILOT_EVENT;
pub use copilot_interaction::COPILOT_INTERACTION;
pub use copilot_interaction_data::COPILOT_INTERACTION_DATA;
pub use copilot_transcript::COPILOT_TRANSCRIPT;
pub use copilot_transcript_data::COPILOT_TRANSCRIPT_DATA;
pub use system_user::SYSTEM_USER;
