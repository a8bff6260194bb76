//! `msdyn_copilotinteractiondata`: feedback text and content of the older store.
//!
//! Columns: the vendor's table reference `msdyn_copilotinteractiondata` (Copilot Interaction Data), Dynamics 365 Customer Service.

use super::shared::{
    CREATED_BY, CREATED_FOR, CREATED_ON, IMPORT, MODIFIED_BY, MODIFIED_FOR, MODIFIED_ON, NAME, ORIGINAL_TIME, OWNER,
    OWNING_TEAM, OWNING_UNIT, OWNING_USER, STATE_CODE, STATUS_CODE, VERBATIM, VERSION, ZONE_CODE, ZONE_RULE,
};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// What belongs to a use of Copilot in the older store.
pub static COPILOT_INTERACTION_DATA: Table = Table::new(
    "msdyn_copilotinteractiondata",
    Source::Dataverse { entity_set: "msdyn_copilotinteractiondatas", elastic: false },
    &[
        Column::guid("msdyn_copilotinteractiondataid").required().unique().bloom().doc("Primary key."),
        CREATED_ON,
        MODIFIED_ON,
        STATE_CODE,
        STATUS_CODE,
        CREATED_BY,
        OWNER,
        OWNING_USER,
        OWNING_TEAM,
        OWNING_UNIT,
        MODIFIED_BY,
        CREATED_FOR,
        MODIFIED_FOR,
        VERSION,
        IMPORT,
        ZONE_RULE,
        ZONE_CODE,
        ORIGINAL_TIME,
        Column::file("msdyn_interactiondata").doc("What Copilot produced: the id of a File, decoded into `payload`."),
        Column::text("msdyn_interactiondata_name").doc("The File's name."),
        NAME,
        VERBATIM,
    ],
)
.doc("Feedback text and content of uses of Copilot before August 2025.")
.key(&["msdyn_copilotinteractiondataid"])
.time(TimeOf::Column("createdon"))
.version(&["versionnumber"]);
