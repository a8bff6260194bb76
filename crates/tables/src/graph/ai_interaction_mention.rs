//! `ai_interaction_mention`: people and others whom interactions mention.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// Somebody whom an interaction mentions.
pub static AI_INTERACTION_MENTION: Table = Table::new(
    "ai_interaction_mention",
    Source::DerivedFromRows { of: Service::Graph },
    &[
        Column::guid("user_id").made().required().bloom().doc("The user, as in `ai_interaction`."),
        Column::text("session_id").made().required().bloom().doc("The thread, as in `ai_interaction`."),
        Column::text("interaction_id").made().required().unique().doc("The interaction, as in `ai_interaction`."),
        Column::int32("position").made().required().doc("Its place among the interaction's mentions, from 0."),
        Column::int32("mention_id").wire("mentionId").doc("The number by which the body refers to it."),
        Column::text("mention_text").wire("mentionText").doc("How it is written."),
        Column::text("mentioned_kind")
            .made()
            .doc("What is mentioned: `user`, `application`, `device`, `conversation` or `tag`."),
        Column::text("mentioned_id").made().doc("The id of what is mentioned."),
        Column::text("mentioned_display_name").made().doc("The name of what is mentioned."),
    ],
)
.doc("People and others whom interactions mention.")
.key(&["user_id", "session_id", "interaction_id", "position"])
.time(TimeOf::Parent);
