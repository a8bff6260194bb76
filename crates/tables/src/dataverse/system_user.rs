//! `systemuser`: the people whom rows name.
//!
//! Columns: the vendor's table reference `systemuser` (User), of which those that reports need, under plain names.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A person, or an application, that rows name.
pub static SYSTEM_USER: Table = Table::new(
    "systemuser",
    Source::Dimension { entity_set: "systemusers" },
    &[
        Column::guid("systemuserid").required().unique().bloom().doc("The id that lookups such as `createdby` hold."),
        Column::guid("entra_object_id")
            .wire("azureactivedirectoryobjectid")
            .unique()
            .doc("The object id in Microsoft Entra ID: joins Microsoft 365 data."),
        Column::lookup("business_unit_id", &["businessunit"])
            .wire("_businessunitid_value")
            .doc("The business unit, as `owningbusinessunit` names it."),
        Column::boolean("is_disabled").wire("isdisabled").doc("Whether the account is disabled."),
        Column::text("full_name").wire("fullname").doc("The name."),
        Column::text("title").doc("The job title."),
        Column::text("business_unit")
            .wire("_businessunitid_value@OData.Community.Display.V1.FormattedValue")
            .doc("The name of the business unit."),
    ],
)
.doc("The people whom rows name.")
.key(&["systemuserid"])
.time(TimeOf::Unpartitioned("extracted_at"));
