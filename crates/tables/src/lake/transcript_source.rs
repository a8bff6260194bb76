//! `transcript_source`: the knowledge sources that messages cite.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A knowledge source that a message of a chat cites.
pub static TRANSCRIPT_SOURCE: Table = Table::new(
    "transcript_source",
    Source::DerivedFromFiles { of: Service::Dataverse },
    &[
        Column::guid("transcript_data_id").required().bloom().doc("The chat, as in `transcript_message`."),
        Column::guid("message_id").required().unique().doc("The message, as in `transcript_message`."),
        Column::int32("position").required().doc("Its place among the message's sources, from 0."),
        Column::guid("source_id").doc("The source, such as a knowledge article."),
        Column::text("source").doc("Where it comes from, such as `internal_kb`."),
        Column::text("title").doc("Its title."),
    ],
)
.doc("Knowledge sources that messages of chats cite.")
.key(&["transcript_data_id", "message_id", "position"])
.time(TimeOf::Parent);
