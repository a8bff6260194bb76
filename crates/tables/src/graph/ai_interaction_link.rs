//! `ai_interaction_link`: links and citations in interactions.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A link in an interaction.
pub static AI_INTERACTION_LINK: Table = Table::new(
    "ai_interaction_link",
    Source::DerivedFromRows { of: Service::Graph },
    &[
        Column::guid("user_id").made().required().bloom().doc("The user, as in `ai_interaction`."),
        Column::text("session_id").made().required().bloom().doc("The thread, as in `ai_interaction`."),
        Column::text("interaction_id").made().required().unique().doc("The interaction, as in `ai_interaction`."),
        Column::int32("position").made().required().doc("Its place among the interaction's links, from 0."),
        Column::text("link_url").wire("linkUrl").unique().doc("Where it leads."),
        Column::text("link_type").wire("linkType").doc("What it is, as the service names it."),
        Column::text("display_name").wire("displayName").doc("Its name."),
    ],
)
.doc("Links and citations in interactions.")
.key(&["user_id", "session_id", "interaction_id", "position"])
.time(TimeOf::Parent);
