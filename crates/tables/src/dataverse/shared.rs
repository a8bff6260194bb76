//! Columns that several tables of Dataverse share.

use crate::choice::{STATE, STATUS};
use crate::column::Column;

pub(super) const CREATED_ON: Column =
    Column::instant("createdon").doc("When the row was created, by the service's clock.");
pub(super) const MODIFIED_ON: Column =
    Column::instant("modifiedon").doc("When the row was last changed, by the service's clock.");
pub(super) const CLIENT_TIMESTAMP: Column =
    Column::instant("msdyn_clienttimestamp").doc("When it happened, by the representative's clock.");
pub(super) const REQUEST_ID: Column =
    Column::text("msdyn_scenariorequestid").bloom().unique().doc("The request that a response and its feedback share.");
pub(super) const CREATED_BY: Column = Column::lookup("createdby", &["systemuser"])
    .wire("_createdby_value")
    .bloom()
    .doc("Who created the row: the representative.");
pub(super) const MODIFIED_BY: Column =
    Column::lookup("modifiedby", &["systemuser"]).wire("_modifiedby_value").doc("Who changed the row last.");
pub(super) const CREATED_FOR: Column = Column::lookup("createdonbehalfby", &["systemuser"])
    .wire("_createdonbehalfby_value")
    .doc("Who created the row on the representative's behalf.");
pub(super) const MODIFIED_FOR: Column = Column::lookup("modifiedonbehalfby", &["systemuser"])
    .wire("_modifiedonbehalfby_value")
    .doc("Who changed the row on another's behalf.");
pub(super) const OWNER: Column = Column::lookup("ownerid", &["systemuser", "team"])
    .wire("_ownerid_value")
    .owner("owninguser", "owningteam")
    .bloom()
    .doc("Who owns the row.");
pub(super) const OWNING_USER: Column =
    Column::lookup("owninguser", &["systemuser"]).wire("_owninguser_value").doc("The owner, when it is a user.");
pub(super) const OWNING_TEAM: Column =
    Column::lookup("owningteam", &["team"]).wire("_owningteam_value").doc("The owner, when it is a team.");
pub(super) const OWNING_UNIT: Column = Column::lookup("owningbusinessunit", &["businessunit"])
    .wire("_owningbusinessunit_value")
    .doc("The owner's business unit.");
pub(super) const FOR_TABLE: Column =
    Column::text("msdyn_interactionforlogicalname").doc("The table of the row that Copilot was used for.");
pub(super) const FOR_ID: Column =
    Column::text("msdyn_interactionforid").unique().doc("The row that Copilot was used for.");
pub(super) const VERSION: Column = Column::int64("versionnumber").unique().doc("The row's version.");
pub(super) const STATE_CODE: Column = Column::choice("statecode", &STATE).doc("Whether the row is in use.");
pub(super) const STATUS_CODE: Column = Column::choice("statuscode", &STATUS).doc("Why the row is in its state.");
pub(super) const IMPORT: Column = Column::int32("importsequencenumber").doc("The import that created the row.");
pub(super) const ZONE_RULE: Column =
    Column::int32("timezoneruleversionnumber").doc("The version of the time zone rules; of the service's own use.");
pub(super) const ZONE_CODE: Column =
    Column::int32("utcconversiontimezonecode").doc("The time zone in which the row was created.");
pub(super) const ORIGINAL_TIME: Column =
    Column::instant("overriddencreatedon").doc("The original time of a migrated row.");
pub(super) const NAME: Column = Column::text("msdyn_name").doc("A title; mostly null.");
pub(super) const VERBATIM: Column = Column::text("msdyn_verbatim").doc("What the representative wrote with a rating.");
