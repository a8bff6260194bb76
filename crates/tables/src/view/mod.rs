//! Tables that hold what a shipped view answers, for tools that cannot run it. Each is the view of its name, as
//! `queries/views/` has it; what its columns mean is said here and there.

mod calendar;
mod copilot_request;
mod m365_turn;

pub use calendar::{CALENDAR, CALENDAR_WEEKS};
pub use copilot_request::COPILOT_REQUEST;
pub use m365_turn::M365_TURN;
