//! `msdyn_copilottranscript`: chats with Copilot; an activity.
//!
//! Columns: the vendor's table reference `msdyn_copilottranscript` (Copilot Transcript), Dynamics 365 Customer Service.

use super::shared::{
    CREATED_BY, CREATED_FOR, CREATED_ON, IMPORT, MODIFIED_BY, MODIFIED_FOR, MODIFIED_ON, ORIGINAL_TIME, OWNER,
    OWNING_TEAM, OWNING_UNIT, OWNING_USER, VERSION, ZONE_CODE, ZONE_RULE,
};
use crate::choice::{ACTIVITY_STATE, ACTIVITY_STATUS, COMMUNITY, INSTANCE_TYPE, PRIORITY};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A chat with Copilot: its messages are in `msdyn_copilottranscriptdata`.
pub static COPILOT_TRANSCRIPT: Table = Table::new(
    "msdyn_copilottranscript",
    Source::Dataverse { entity_set: "msdyn_copilottranscripts", elastic: false },
    &[
        Column::guid("activityid").required().unique().bloom().doc("Primary key."),
        CREATED_ON,
        MODIFIED_ON,
        Column::instant("actualstart").doc("When the activity began."),
        Column::instant("actualend").doc("When the activity ended."),
        Column::choice("statecode", &ACTIVITY_STATE).doc("How far the activity is."),
        Column::choice("statuscode", &ACTIVITY_STATUS).doc("Why the activity is in its state."),
        Column::lookup("regardingobjectid", REGARDING)
            .wire("_regardingobjectid_value")
            .bloom()
            .doc("The row that the chat belongs to."),
        Column::target("regardingobjectid_table", "_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname")
            .doc("The table to which `regardingobjectid` belongs."),
        CREATED_BY,
        OWNER,
        OWNING_USER,
        OWNING_TEAM,
        OWNING_UNIT,
        MODIFIED_BY,
        CREATED_FOR,
        MODIFIED_FOR,
        Column::text("msdyn_transcriptforlogicalname").doc("The table of the row that the chat was about."),
        Column::text("msdyn_transcriptforid").unique().doc("The row that the chat was about."),
        VERSION,
        Column::text("msdyn_copilotmode").doc("The mode in which Copilot was used."),
        Column::text("msdyn_copilotskill").doc("The skill of Copilot that was used."),
        Column::text("activitytypecode").doc("The table: always `msdyn_copilottranscript`."),
        Column::choice("prioritycode", &PRIORITY).doc("How urgent the activity is."),
        Column::choice("instancetypecode", &INSTANCE_TYPE).doc("Whether the activity recurs."),
        Column::choice("deliveryprioritycode", &PRIORITY).doc("How urgent the delivery of the activity is."),
        Column::choice("community", &COMMUNITY).doc("The social channel that the activity came from."),
        Column::instant("scheduledstart").doc("When the activity was to begin."),
        Column::instant("scheduledend").doc("When the activity was to end."),
        Column::instant("senton").doc("When it was sent."),
        Column::instant("sortdate").doc("The date that the activity is sorted by."),
        Column::instant("lastonholdtime").doc("When the activity was last put on hold."),
        Column::instant("deliverylastattemptedon").doc("When delivery was last tried."),
        Column::instant("postponeactivityprocessinguntil").doc("Until when the activity is not processed."),
        Column::int32("actualdurationminutes").doc("Minutes that the activity took."),
        Column::int32("scheduleddurationminutes").doc("Minutes that were planned."),
        Column::int32("onholdtime").doc("Minutes on hold."),
        Column::boolean("isbilled").doc("Whether the activity was billed."),
        Column::boolean("ismapiprivate").doc("Whether the activity is private in Outlook."),
        Column::boolean("isworkflowcreated").doc("Whether a workflow created the activity."),
        Column::boolean("leftvoicemail").doc("Whether a voice mail was left."),
        Column::boolean("isregularactivity").doc("Whether it is a regular activity or an event."),
        Column::decimal("exchangerate").doc("The rate of the currency to the base currency."),
        Column::lookup("serviceid", &["service"]).wire("_serviceid_value").doc("The service that was delivered."),
        Column::lookup("slaid", &["sla"]).wire("_slaid_value").doc("The service level agreement of the activity."),
        Column::lookup("slainvokedid", &["sla"])
            .wire("_slainvokedid_value")
            .doc("The service level agreement that was applied last."),
        Column::lookup("transactioncurrencyid", &["transactioncurrency"])
            .wire("_transactioncurrencyid_value")
            .doc("The currency of amounts."),
        Column::lookup("sendermailboxid", &["mailbox"]).wire("_sendermailboxid_value").doc("The mailbox that sent it."),
        Column::guid("processid").doc("The process that the activity belongs to."),
        Column::guid("stageid").doc("The stage of the process; deprecated."),
        Column::guid("seriesid").doc("The series of a recurring activity."),
        IMPORT,
        ZONE_RULE,
        ZONE_CODE,
        ORIGINAL_TIME,
        Column::text("traversedpath").doc("The stages that were passed; deprecated."),
        Column::text("exchangeitemid").doc("The item in Exchange."),
        Column::text("exchangeweblink").doc("Where the item in Exchange can be opened."),
        Column::text("subject").doc("The title of the chat."),
        Column::text("description").doc("What the activity is about."),
        Column::text("activityadditionalparams").unique().doc("Further parameters of the activity, as sent."),
        Column::text("msdyn_additionalcontext").unique().doc("What Copilot knew besides the chat, as sent."),
    ],
)
.doc("Chats with Copilot: one row per chat.")
.key(&["activityid"])
.time(TimeOf::Column("createdon"))
.version(&["versionnumber"]);

/// The tables that an activity can belong to.
static REGARDING: &[&str] = &[
    "account",
    "adx_invitation",
    "bookableresourcebooking",
    "bookableresourcebookingheader",
    "bulkoperation",
    "campaign",
    "campaignactivity",
    "contact",
    "contract",
    "entitlement",
    "entitlementtemplate",
    "incident",
    "interactionforemail",
    "invoice",
    "knowledgearticle",
    "knowledgebaserecord",
    "lead",
    "msdyn_customerasset",
    "msdyn_playbookinstance",
    "msdyn_postalbum",
    "msdyn_salessuggestion",
    "msdyn_swarm",
    "mspp_adplacement",
    "mspp_pollplacement",
    "mspp_publishingstatetransitionrule",
    "mspp_redirect",
    "mspp_shortcut",
    "mspp_website",
    "opportunity",
    "quote",
    "salesorder",
    "site",
];
