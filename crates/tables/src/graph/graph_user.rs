//! `graph_user`: the people in scope.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A person whose history is in scope.
pub static GRAPH_USER: Table = Table::new(
    "graph_user",
    Source::Graph { sliced: false },
    &[
        Column::guid("user_id").wire("id").required().unique().bloom().doc("The object id in Microsoft Entra ID."),
        Column::instant("first_seen_at").made().doc("When the user was first in scope."),
        Column::instant("license_assigned_at").made().doc("When the plan that the service requires was assigned."),
        Column::boolean("account_enabled").wire("accountEnabled").doc("Whether the account may sign in."),
        Column::boolean("has_copilot_license").made().doc("Whether the plan that the service requires is enabled."),
        Column::text("user_principal_name").wire("userPrincipalName").unique().doc("The name to sign in with."),
        Column::text("display_name").wire("displayName").unique().doc("The name."),
        Column::text("department").doc("The department."),
        Column::text("job_title").wire("jobTitle").doc("The job title."),
        Column::text("company_name").wire("companyName").doc("The company."),
        Column::text("office_location").wire("officeLocation").doc("The office."),
        Column::text("country").doc("The country or region."),
        Column::text("employee_type").wire("employeeType").doc("The type of employee, such as contractor."),
    ],
)
.doc("People whose use of Microsoft 365 Copilot is in scope.")
.key(&["user_id"])
.time(TimeOf::Unpartitioned("extracted_at"));
