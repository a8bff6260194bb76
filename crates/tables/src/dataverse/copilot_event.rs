//! `msdyn_copilotevent`: the elastic table that holds uses of Copilot since August 2025.
//!
//! Columns: the vendor's table reference `msdyn_copilotevent` (Copilot Event), Dynamics 365 Customer Service.

use super::interaction_context::INTERACTION_CONTEXT;
use super::shared::{
    CLIENT_TIMESTAMP, CREATED_BY, CREATED_FOR, CREATED_ON, FOR_ID, FOR_TABLE, IMPORT, MODIFIED_BY, MODIFIED_FOR,
    MODIFIED_ON, NAME, ORIGINAL_TIME, OWNER, OWNING_TEAM, OWNING_UNIT, OWNING_USER, REQUEST_ID, VERBATIM, VERSION,
};
use crate::choice::{AI_AGENT, INTERACTION_TYPE, SCENARIO_TYPE};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A use of Copilot by a service representative or an agent.
pub static COPILOT_EVENT: Table = Table::new(
    "msdyn_copilotevent",
    Source::Dataverse { entity_set: "msdyn_copilotevents", elastic: true },
    &[
        Column::guid("msdyn_copiloteventid").required().unique().bloom().doc("Primary key, unique within a partition."),
        Column::text("partitionid").required().doc("The partition: first and last day of the week, then the scenario."),
        CREATED_ON,
        MODIFIED_ON,
        CLIENT_TIMESTAMP,
        Column::choice("msdyn_scenariotype", &SCENARIO_TYPE).doc("The feature that was used."),
        Column::choice("msdyn_interactiontype", &INTERACTION_TYPE).doc("What was done with it."),
        Column::choice("msdyn_aiagent", &AI_AGENT).doc("The autonomous agent that acted; null for people."),
        REQUEST_ID,
        CREATED_BY,
        OWNER,
        OWNING_USER,
        OWNING_TEAM,
        OWNING_UNIT,
        MODIFIED_BY,
        CREATED_FOR,
        MODIFIED_FOR,
        FOR_TABLE,
        FOR_ID,
        VERSION,
        Column::int32("ttlinseconds")
            .doc("Seconds from the last change until the service removes the row; null keeps it."),
        IMPORT,
        ORIGINAL_TIME,
        Column::file("msdyn_interactiondata").doc("What Copilot produced: the id of a File, decoded into `payload`."),
        Column::text("msdyn_interactiondata_name").doc("The File's name."),
        NAME,
        VERBATIM,
        Column::json("msdyn_interactioncontext", INTERACTION_CONTEXT)
            .doc("How Copilot was used: a JSON object, as sent; its known keys are `context_*` and `transcript_*`."),
    ],
)
.doc("Uses of Copilot for Customer Service since August 2025: one row per action.")
.key(&["msdyn_copiloteventid", "partitionid"])
.time(TimeOf::PartitionIdOr("createdon"))
.version(&["modifiedon", "versionnumber"]);
