//! `m365_turn`: prompts to Microsoft 365 Copilot, each with its answers.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A prompt to Microsoft 365 Copilot and the responses to it.
pub static M365_TURN: Table = Table::new(
    "m365_turn",
    Source::View { of: &["ai_interaction"] },
    &[
        Column::guid("user_id").required().bloom().doc("Whose interaction history it is in."),
        Column::text("session_id").required().bloom().doc("The conversation in it."),
        Column::text("request_id").required().unique().doc(
            "The request that prompt and responses share; of an interaction without one, `interaction:` and its id.",
        ),
        Column::text("conversation_key").doc("The session, else the turn."),
        Column::text("app").doc("Where it was asked."),
        Column::int32("is_system_prompt").doc("1 if a program made the prompt."),
        Column::int64("prompts").doc("Prompts; 0 where only responses are known."),
        Column::int64("responses").doc("Responses."),
        Column::instant("prompted_at").doc("Time of the first prompt."),
        Column::instant("answered_at").doc("Time of the first response."),
        Column::instant("started_at").doc("Time of the first row."),
        Column::instant("ended_at").doc("Time of the last row."),
        Column::decimal("reply_seconds").doc("From prompt to first response; null without either."),
        Column::int32("grounded").doc("1 if prompt or response has a context or a link."),
        Column::int64("context_count").doc("Contexts of prompt and responses together."),
        Column::int64("link_count").doc("Links of prompt and responses together."),
        Column::int64("attachment_count").doc("Attachments of prompt and responses together."),
        Column::int64("prompt_length").doc("Characters of the prompt; null without one."),
        Column::int64("response_length").doc("Characters of the responses; null without one."),
        Column::text("locale").doc("Of the prompt, else of a response."),
        Column::date("last_week").doc("The last week of the files of its rows."),
    ],
)
.doc("Prompts to Microsoft 365 Copilot with their answers; in the week of the first row.")
.key(&["user_id", "session_id", "request_id"])
.time(TimeOf::Parent);
