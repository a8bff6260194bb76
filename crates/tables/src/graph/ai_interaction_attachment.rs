//! `ai_interaction_attachment`: cards, images and files that belong to interactions.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A card, image or file that belongs to an interaction.
pub static AI_INTERACTION_ATTACHMENT: Table = Table::new(
    "ai_interaction_attachment",
    Source::DerivedFromRows { of: Service::Graph },
    &[
        Column::guid("user_id").made().required().bloom().doc("The user, as in `ai_interaction`."),
        Column::text("session_id").made().required().bloom().doc("The thread, as in `ai_interaction`."),
        Column::text("interaction_id").made().required().unique().doc("The interaction, as in `ai_interaction`."),
        Column::int32("position").made().required().doc("Its place among the interaction's attachments, from 0."),
        Column::text("attachment_id")
            .wire("attachmentId")
            .unique()
            .doc("The id that placeholders in the body name; unique within the interaction."),
        Column::text("content_type").wire("contentType").doc("What it is, such as `reference` or an adaptive card."),
        Column::text("content_url").wire("contentUrl").unique().doc("Where it is, as a URL."),
        Column::text("name").doc("Its name."),
        Column::text("content").unique().doc("Its content as the service sent it: an adaptive card is JSON."),
    ],
)
.doc("Cards, images and files that belong to interactions.")
.key(&["user_id", "session_id", "interaction_id", "position"])
.time(TimeOf::Parent);
