//! `copilot_request`: the requests of Dynamics 365, each with what became of it.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A request to Copilot in Dynamics 365: its response, what was done with it, its rating.
pub static COPILOT_REQUEST: Table = Table::new(
    "copilot_request",
    Source::View {
        of: &["msdyn_copilotevent", "msdyn_copilotinteraction", "msdyn_copilotinteractiondata", "transcript_message"],
    },
    &[
        Column::text("request_key").required().unique().bloom().doc("What the rows of the request share."),
        Column::text("request_id")
            .unique()
            .bloom()
            .doc("The service's id of it; null where a row came without one, which is a request of its own."),
        Column::int32("scenario").doc("The feature, by its code."),
        Column::text("scenario_label").doc("Its English label."),
        Column::int32("agent").doc("The autonomous agent that acted on it, if one did."),
        Column::int32("is_human")
            .doc("1 if a person got a response, or did anything where nobody got one; 0 for agents' own requests."),
        Column::guid("user_id").bloom().doc("Who got the response, else who did anything."),
        Column::instant("first_response_at").doc("When the service recorded the first response."),
        Column::instant("first_row_at").doc("When the service recorded anything of it first."),
        Column::int64("responses").doc("Generated events; 0 where the response is not in the lake."),
        Column::int32("response_status_code").doc("20000 is success; of several that of a failure."),
        Column::decimal("answer_seconds")
            .doc("From the last message of the person to the first of Copilot, in chats whose messages were kept."),
        Column::int32("viewed").doc("1 if it was looked at: ViewHistory, ExpandTile or CheckSources."),
        Column::int32("used_copy").doc("1 if it was copied: Copy or ManualCopy."),
        Column::int32("used_any").doc("1 if it was used in any way: copied, sent, edited and sent, accepted or kept."),
        Column::int32("sent").doc("1 after SendToCustomer."),
        Column::int32("edited").doc("1 after EditAndSend."),
        Column::int32("kept").doc("1 after KeepIt."),
        Column::int32("discarded").doc("1 after Discard."),
        Column::int32("auto_prompted").doc("1 if Copilot began by itself; null where the service does not say."),
        Column::text("rating").doc("`up`, `down` or `cleared`: the last of the request's ratings."),
        Column::int32("has_verbatim").doc("1 if any of its ThumbsDown rows has text."),
        Column::int64("source_count").doc("Sources that its answers cite; null without messages."),
        Column::guid("transcript_id").bloom().doc("The chat."),
        Column::guid("transcript_data_id").doc("The row that holds the messages of the chat."),
        Column::text("for_table").doc("The table of the record that Copilot was used for."),
        Column::guid("for_id").doc("That record."),
        Column::text("response_source_category").doc("What the response was made from."),
        Column::text("response_source_sub_category").doc("The same, more precisely."),
        Column::date("first_week").doc("The first week of the files of its rows."),
        Column::date("last_week").doc("The last week of the files of its rows, such as that of a late rating."),
    ],
)
.doc("Requests to Copilot in Dynamics 365, and what became of each; in the week of the first response.")
.key(&["request_key"])
.time(TimeOf::Parent);
