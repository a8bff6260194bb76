//! `transcript_message`: the messages of decoded transcripts.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A message of a chat with Copilot.
pub static TRANSCRIPT_MESSAGE: Table = Table::new(
    "transcript_message",
    Source::DerivedFromFiles { of: Service::Dataverse },
    &[
        Column::guid("transcript_data_id")
            .required()
            .bloom()
            .doc("The chat: `msdyn_copilottranscriptdata.msdyn_copilottranscriptdataid`."),
        Column::guid("message_id")
            .required()
            .unique()
            .doc("The message; `#` and its place where it has no id of its own."),
        Column::instant("sent_at").doc("When it was sent."),
        Column::int32("sequence").doc("Its place in the chat, from 0."),
        Column::text("role").doc("Who wrote it: `user` or `bot`."),
        Column::guid("request_id").bloom().doc("The request: `msdyn_scenariorequestid` of the events."),
        Column::guid("chat_id").doc("The chat, as the transcript names it."),
        Column::text("session_id").doc("The session, as the transcript names it."),
        Column::text("entity_id").doc("The row that the chat was about."),
        Column::text("entity_name").doc("The table of that row."),
        Column::boolean("is_activity_error").doc("Whether Copilot failed to answer."),
        Column::int32("source_count").doc("Knowledge sources that it cites, in `transcript_source`."),
        Column::text("customer_intent").unique().doc("What the customer wants, as Copilot understood it."),
        Column::text("message").unique().doc("What was written; Markdown."),
    ],
)
.doc("Messages of chats with Copilot.")
.key(&["transcript_data_id", "message_id"])
.time(TimeOf::Parent);
