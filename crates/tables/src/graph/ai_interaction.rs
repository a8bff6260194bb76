//! `ai_interaction`: prompts to Microsoft 365 Copilot and its responses.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A prompt of a user, or a response of Copilot.
pub static AI_INTERACTION: Table = Table::new(
    "ai_interaction",
    Source::Graph { sliced: true },
    &[
        Column::guid("user_id")
            .made()
            .required()
            .bloom()
            .doc("The user whose history was read; the service does not say whose it is."),
        Column::text("session_id").wire("sessionId").required().bloom().doc("The thread; empty when there is none."),
        Column::text("interaction_id")
            .wire("id")
            .required()
            .unique()
            .doc("The id, unique within a thread of a user; the service makes it from the time."),
        Column::instant("created_at").wire("createdDateTime").doc("When it was written."),
        Column::guid("request_id").wire("requestId").unique().bloom().doc("Joins a prompt to its responses."),
        Column::text("interaction_type").wire("interactionType").doc("`userPrompt` or `aiResponse`."),
        Column::text("conversation_type")
            .wire("conversationType")
            .doc("The kind of conversation, such as `appchat` or `bizchat`."),
        Column::text("app_class").wire("appClass").doc("Where it happened, as the service spells it."),
        Column::text("app").made().doc("Where it happened: the last part of `app_class`."),
        Column::text("locale").doc("The sender's language and region."),
        Column::text("etag").unique().doc("The version, as the service names it."),
        Column::text("from_kind").made().doc("Who wrote it: `user`, `application` or `device`."),
        Column::text("from_id").made().doc("The id of who wrote it."),
        Column::text("from_display_name").made().doc("The name of who wrote it."),
        Column::text("from_identity_type")
            .made()
            .doc("What kind of user or application that is, as the service names it."),
        Column::text("from_tenant_id").made().doc("The tenant of the user who wrote it."),
        Column::text("body_content_type").made().doc("`text` or `html`."),
        Column::int32("attachment_count").made().doc("Attachments, in `ai_interaction_attachment`."),
        Column::int32("context_count").made().doc("Contexts, in `ai_interaction_context`."),
        Column::int32("link_count").made().doc("Links, in `ai_interaction_link`."),
        Column::int32("mention_count").made().doc("Mentions, in `ai_interaction_mention`."),
        Column::text("text").made().unique().doc("What a person would read."),
        Column::text("body_content").made().unique().doc("The body as the service sent it."),
    ],
)
.doc("Prompts to Microsoft 365 Copilot and its responses.")
.key(&["user_id", "session_id", "interaction_id"])
.time(TimeOf::Column("created_at"));
