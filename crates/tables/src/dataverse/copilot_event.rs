//! `msdyn_copilotevent`: the elastic table that holds uses of Copilot since August 2025.
//!
//! Columns: the vendor's table reference `msdyn_copilotevent` (Copilot Event), Dynamics 365 Customer Service.

use super::interaction_context::INTERACTION_CONTEXT;
use crate::choice::{AI_AGENT, INTERACTION_TYPE, SCENARIO_TYPE};
use crate::column::Column;
use crate::table::{Source, Table, TimeOf};

/// A use of Copilot by a service representative or an agent.
pub static COPILOT_EVENT: Table = Table::new(
    "msdyn_copilotevent",
    Source::Dataverse { entity_set: "msdyn_copilotevents", elastic: true },
    &[
        Column::guid("msdyn_copiloteventid").required().unique().bloom().doc("Primary key, unique within a partition."),
        Column::text("partitionid").required().doc("The partition: first and last day of the week, then the scenario."),
        Column::instant("createdon").doc("When the row was made, by the service's clock."),
        Column::instant("modifiedon").doc("When the row was last changed, by the service's clock."),
        Column::instant("msdyn_clienttimestamp").doc("When it happened, by the representative's clock."),
        Column::choice("msdyn_scenariotype", &SCENARIO_TYPE).doc("The feature that was used."),
        Column::choice("msdyn_interactiontype", &INTERACTION_TYPE).doc("What was done with it."),
        Column::choice("msdyn_aiagent", &AI_AGENT).doc("The autonomous agent that acted; null for people."),
        Column::text("msdyn_scenariorequestid")
            .bloom()
            .unique()
            .doc("The request that a response and its feedback share."),
        Column::lookup("createdby", &["systemuser"]).wire("_createdby_value").bloom().doc("The representative."),
        Column::lookup("ownerid", &["systemuser", "team"])
            .wire("_ownerid_value")
            .owner("owninguser", "owningteam")
            .bloom()
            .doc("Who owns the row."),
        Column::lookup("owninguser", &["systemuser"]).wire("_owninguser_value").doc("The owner, when it is a user."),
        Column::lookup("owningteam", &["team"]).wire("_owningteam_value").doc("The owner, when it is a team."),
        Column::lookup("owningbusinessunit", &["businessunit"])
            .wire("_owningbusinessunit_value")
            .doc("The owner's business unit."),
        Column::lookup("modifiedby", &["systemuser"]).wire("_modifiedby_value").doc("Who changed the row last."),
        Column::lookup("createdonbehalfby", &["systemuser"])
            .wire("_createdonbehalfby_value")
            .doc("Who made the row in the representative's name."),
        Column::lookup("modifiedonbehalfby", &["systemuser"])
            .wire("_modifiedonbehalfby_value")
            .doc("Who changed the row in another's name."),
        Column::text("msdyn_interactionforlogicalname").doc("The table of the row that Copilot was used for."),
        Column::text("msdyn_interactionforid").unique().doc("The row that Copilot was used for."),
        Column::int64("versionnumber").unique().doc("The row's version."),
        Column::int32("ttlinseconds")
            .doc("Seconds from the last change until the service removes the row; null keeps it."),
        Column::int32("importsequencenumber").doc("The import that made the row."),
        Column::instant("overriddencreatedon").doc("The original time of a migrated row."),
        Column::file("msdyn_interactiondata").doc("What Copilot produced: the id of a File, decoded into `payload`."),
        Column::text("msdyn_interactiondata_name").doc("The File's name."),
        Column::text("msdyn_name").doc("A title; mostly null."),
        Column::text("msdyn_verbatim").doc("What the representative wrote with a rating."),
        Column::json("msdyn_interactioncontext", INTERACTION_CONTEXT)
            .doc("How Copilot was used: a JSON object, as sent; its known keys are `context_*` and `transcript_*`."),
    ],
)
.doc("Uses of Copilot for Customer Service since August 2025: one row per action.")
.key(&["msdyn_copiloteventid", "partitionid"])
.time(TimeOf::PartitionIdOr("createdon"))
.version(&["modifiedon", "versionnumber"]);
