//! `msdyn_copilotinteraction`: uses of Copilot before August 2025.
//!
//! Columns: the vendor's table reference `msdyn_copilotinteraction` (Copilot Interaction), Dynamics 365 Customer Service.

use super::interaction_context::INTERACTION_CONTEXT;
use super::shared::{
    CLIENT_TIMESTAMP, CREATED_BY, CREATED_FOR, CREATED_ON, FOR_ID, FOR_TABLE, IMPORT, MODIFIED_BY, MODIFIED_FOR,
    MODIFIED_ON, NAME, ORIGINAL_TIME, REQUEST_ID, STATE_CODE, STATUS_CODE, VERSION, ZONE_CODE, ZONE_RULE,
};
use crate::choice::{OLDER_INTERACTION_TYPE, OLDER_SCENARIO_TYPE};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A use of Copilot, in the older store.
pub static COPILOT_INTERACTION: Table = Table::new(
    "msdyn_copilotinteraction",
    Source::Dataverse { entity_set: "msdyn_copilotinteractions", elastic: false },
    &[
        Column::guid("msdyn_copilotinteractionid").required().unique().bloom().doc("Primary key."),
        CREATED_ON,
        MODIFIED_ON,
        CLIENT_TIMESTAMP,
        Column::choice("msdyn_scenariotype", &OLDER_SCENARIO_TYPE).doc("The feature that was used."),
        Column::choice("msdyn_interactiontype", &OLDER_INTERACTION_TYPE).doc("What was done with it."),
        STATE_CODE,
        STATUS_CODE,
        REQUEST_ID,
        CREATED_BY,
        MODIFIED_BY,
        CREATED_FOR,
        MODIFIED_FOR,
        Column::lookup("msdyn_interactiondataid", &["msdyn_copilotinteractiondata"])
            .wire("_msdyn_interactiondataid_value")
            .bloom()
            .unique()
            .doc("What belongs to it: feedback text and content."),
        FOR_TABLE,
        FOR_ID,
        VERSION,
        Column::lookup("organizationid", &["organization"]).wire("_organizationid_value").doc("The environment."),
        IMPORT,
        ZONE_RULE,
        ZONE_CODE,
        ORIGINAL_TIME,
        NAME,
        Column::json("msdyn_interactioncontext", INTERACTION_CONTEXT)
            .doc("How Copilot was used: a JSON object, as sent; its known keys are `context_*` and `transcript_*`."),
    ],
)
.doc("Uses of Copilot for Customer Service before August 2025: one row per action.")
.key(&["msdyn_copilotinteractionid"])
.time(TimeOf::Column("createdon"))
.version(&["versionnumber"]);
