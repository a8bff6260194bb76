//! `ai_interaction_context`: files, meetings and pages that interactions were about.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// What an interaction was about.
pub static AI_INTERACTION_CONTEXT: Table = Table::new(
    "ai_interaction_context",
    Source::DerivedFromRows { of: Service::Graph },
    &[
        Column::guid("user_id").made().required().bloom().doc("The user, as in `ai_interaction`."),
        Column::text("session_id").made().required().bloom().doc("The thread, as in `ai_interaction`."),
        Column::text("interaction_id").made().required().unique().doc("The interaction, as in `ai_interaction`."),
        Column::int32("position").made().required().doc("Its place among the interaction's contexts, from 0."),
        Column::text("context_reference").wire("contextReference").unique().doc("Where it is, as a URL."),
        Column::text("context_type").wire("contextType").doc("What it is, such as `TeamsMeeting`."),
        Column::text("display_name").wire("displayName").doc("Its name."),
    ],
)
.doc("Files, meetings and pages that interactions were about.")
.key(&["user_id", "session_id", "interaction_id", "position"])
.time(TimeOf::Parent);
