//! `payload`: the decoded bytes of every File that a row names.

use crate::column::Column;
use crate::service::Service;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// The decoded content of a File column.
pub static PAYLOAD: Table = Table::new(
    "payload",
    Source::DerivedFromFiles { of: Service::Dataverse },
    &[
        Column::text("source_table").required().doc("The table whose row names the File."),
        Column::guid("source_id").required().unique().bloom().doc("That row's own id."),
        Column::text("source_partitionid").required().doc("That row's partition; empty outside the elastic table."),
        Column::text("column_name").required().doc("The File column."),
        Column::guid("file_id").unique().doc("The File that was fetched."),
        Column::text("file_name").doc("The File's name, by the service."),
        Column::int64("byte_length").unique().doc("Bytes as fetched, before decoding."),
        Column::text("status")
            .doc("`decoded`, `empty`, `undecodable`, `missing` (404), `too_large` (above 32 MiB) or `failed`."),
        Column::text("encoding").doc("What was undone, such as `base64+utf-16le` or `utf-8`."),
        Column::text("reason").doc("Why it was not decoded."),
        Column::text("prompt_text").unique().doc("The prompt, where the text is an envelope of prompt and response."),
        Column::text("response_text").unique().doc("The response, where the text is an envelope of both."),
        Column::text("text").unique().doc("The text, without its byte-order mark."),
        Column::text("raw_base64").unique().doc("The bytes as fetched, only when they could not be decoded."),
    ],
)
.doc("What Copilot produced: the decoded text of every File column.")
.key(&["source_table", "source_id", "source_partitionid", "column_name"])
.time(TimeOf::Parent);
