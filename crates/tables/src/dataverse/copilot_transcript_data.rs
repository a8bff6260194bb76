//! `msdyn_copilottranscriptdata`: the messages of chats with Copilot.
//!
//! Columns: the vendor's table reference `msdyn_copilottranscriptdata` (Copilot Transcript Data), Dynamics 365 Customer Service.

use super::shared::{
    CREATED_BY, CREATED_FOR, CREATED_ON, IMPORT, MODIFIED_BY, MODIFIED_FOR, MODIFIED_ON, NAME, ORIGINAL_TIME, OWNER,
    OWNING_TEAM, OWNING_UNIT, OWNING_USER, STATE_CODE, STATUS_CODE, VERSION, ZONE_CODE, ZONE_RULE,
};
use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// The messages of a chat with Copilot: its File is decoded into `transcript_message`.
pub static COPILOT_TRANSCRIPT_DATA: Table = Table::new(
    "msdyn_copilottranscriptdata",
    Source::Dataverse { entity_set: "msdyn_copilottranscriptdatas", elastic: false },
    &[
        Column::guid("msdyn_copilottranscriptdataid").required().unique().bloom().doc("Primary key."),
        CREATED_ON,
        MODIFIED_ON,
        STATE_CODE,
        STATUS_CODE,
        Column::lookup("msdyn_copilottranscriptid", &["msdyn_copilottranscript"])
            .wire("_msdyn_copilottranscriptid_value")
            .bloom()
            .unique()
            .doc("The chat."),
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
        Column::transcript("msdyn_transcriptdata")
            .doc("The messages: the id of a File, decoded into `payload` and `transcript_message`."),
        Column::text("msdyn_transcriptdata_name").doc("The File's name."),
        NAME,
    ],
)
.doc("Messages of chats with Copilot, as Files.")
.key(&["msdyn_copilottranscriptdataid"])
.time(TimeOf::Column("createdon"))
.version(&["versionnumber"]);
