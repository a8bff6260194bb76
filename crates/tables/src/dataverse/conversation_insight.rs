//! `msdyn_conversationinsight`: summaries and insights of conversations.
//!
//! Columns: the vendor's table reference `msdyn_conversationinsight` (ConversationInsight), Dynamics 365 Customer Service.

use super::copilot_summary::COPILOT_SUMMARY;
use super::shared::{
    CREATED_BY, CREATED_FOR, CREATED_ON, IMPORT, MODIFIED_BY, MODIFIED_FOR, MODIFIED_ON, NAME, ORIGINAL_TIME, OWNER,
    OWNING_TEAM, OWNING_UNIT, OWNING_USER, STATE_CODE, STATUS_CODE, VERSION, ZONE_CODE, ZONE_RULE,
};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// The summary and insights of a conversation.
pub static CONVERSATION_INSIGHT: Table = Table::new(
    "msdyn_conversationinsight",
    Source::Dataverse { entity_set: "msdyn_conversationinsights", elastic: false },
    &[
        Column::guid("msdyn_conversationinsightid").required().unique().bloom().doc("Primary key."),
        CREATED_ON,
        MODIFIED_ON,
        STATE_CODE,
        STATUS_CODE,
        Column::lookup("msdyn_conversationid", &["msdyn_ocliveworkitem"])
            .wire("_msdyn_conversationid_value")
            .bloom()
            .unique()
            .doc("The conversation."),
        Column::lookup("msdyn_conversationinsighttarget", &["appointment", "phonecall"])
            .wire("_msdyn_conversationinsighttarget_value")
            .doc("The meeting or call that it is about."),
        Column::target(
            "msdyn_conversationinsighttarget_table",
            "_msdyn_conversationinsighttarget_value@Microsoft.Dynamics.CRM.lookuplogicalname",
        )
        .doc("The table to which `msdyn_conversationinsighttarget` belongs."),
        CREATED_BY,
        OWNER,
        OWNING_USER,
        OWNING_TEAM,
        OWNING_UNIT,
        MODIFIED_BY,
        CREATED_FOR,
        MODIFIED_FOR,
        VERSION,
        Column::decimal("msdyn_callinsightduration").doc("How long the call took."),
        Column::decimal("msdyn_calltalktolistenratio")
            .doc("How much the representative talked compared with listening."),
        Column::decimal("msdyn_calltalkingspeed").doc("Words per minute."),
        Column::decimal("msdyn_callaveragepause").doc("Average pause before speaking."),
        Column::decimal("msdyn_calllongestcustomermonologue").doc("The customer's longest monologue."),
        Column::decimal("msdyn_callswitchesperconversation").doc("How often the speaker changed."),
        IMPORT,
        ZONE_RULE,
        ZONE_CODE,
        ORIGINAL_TIME,
        Column::file("msdyn_insights").doc("Measures of the conversation: the id of a File, decoded into `payload`."),
        Column::text("msdyn_insights_name").doc("The File's name."),
        Column::file("msdyn_transcriptwithinsights")
            .doc("The conversation with measures: the id of a File, decoded into `payload`; deprecated."),
        Column::text("msdyn_transcriptwithinsights_name").doc("The File's name."),
        NAME,
        Column::text("msdyn_copilotsummaryrequestcontext")
            .unique()
            .doc("What Copilot was given for the summary, as sent."),
        Column::text("msdyn_summary").unique().doc("A summary of the conversation, as sent."),
        Column::text_or_json("msdyn_copilotsummary", COPILOT_SUMMARY)
            .doc("Copilot's summary, as sent: plain text, Markdown or a JSON object, read into `summary_text`."),
    ],
)
.doc("Summaries and insights of conversations.")
.key(&["msdyn_conversationinsightid"])
.time(TimeOf::Column("createdon"))
.version(&["versionnumber"]);
