//! What the application user may read.

use copilot_lake_tables::Table;
use serde_json::json;

use crate::data::random::{guid_text, hash};
use crate::data::table_store::TableStore;
use crate::dataverse::row_filter::{ColumnCondition, Operand, RowFilter};
use crate::http::filter::{Filter, Operator};
use crate::http::response::{HttpResponse, ServiceError};
use crate::identity::{UNIT_ID, USER_ID, USERS};
use crate::scenario::specs::ReadDepth;

/// The privilege that reading a table needs.
fn privilege_name(table: &str) -> String {
    copilot_lake_tables::table(table).map_or_else(|| format!("prvRead{table}"), Table::read_privilege)
}

fn privilege_id(table: &str) -> String {
    guid_text(hash(privilege_name(table).as_bytes()))
}

/// The error for a caller without the privilege.
pub(crate) fn missing_privilege(table: &str, type_code: u32) -> ServiceError {
    let (privilege, id) = (privilege_name(table), privilege_id(table));
    let message = format!(
        "Principal user (Id={USER_ID}, type=8, roleCount=1, privilegeCount=4, accessMode=4), is missing {privilege} privilege \
         (Id={id}) on OTC={type_code} for entity '{table}'. context.Caller={USER_ID}"
    );
    ServiceError::new(403, "0x80040220", &message)
}

/// The error for a caller who may not read a secured column.
pub(crate) fn secured() -> ServiceError {
    let message =
        "The user does not have read permissions to a secured field. The requested operation could not be completed.";
    ServiceError::new(403, "0x8004F504", message)
}

/// The condition for a caller who may read only their own rows. Tables without owners are not limited.
pub(crate) fn own_rows(store: &TableStore) -> Option<RowFilter> {
    let column = store.table.column("ownerid").filter(|_| store.depth == ReadDepth::Basic)?;
    let operand = Operand::Text(USER_ID.to_owned());
    Some(Filter::Compare(ColumnCondition { column, operator: Operator::Equal, operand }))
}

/// Answers `RetrieveUserPrivileges`.
pub(crate) fn privileges(stores: &[TableStore], user: &str, root: &str) -> Result<HttpResponse, ServiceError> {
    if !USERS.iter().any(|known| user.eq_ignore_ascii_case(known)) {
        return Err(ServiceError::new(404, "0x80040217", &format!("systemuser With Id = {user} Does Not Exist")));
    }
    let granted = stores.iter().filter(|store| !store.absent && store.depth != ReadDepth::None);
    let granted = granted.map(|store| {
        json!({
            "Depth": if store.depth == ReadDepth::Basic { "Basic" } else { "Global" },
            "PrivilegeId": privilege_id(store.table.name), "BusinessUnitId": UNIT_ID,
            "PrivilegeName": privilege_name(store.table.name),
            "RecordFilterId": "00000000-0000-0000-0000-000000000000", "RecordFilterUniqueName": "",
        })
    });
    let body = json!({
        "@odata.context": format!("{root}$metadata#Microsoft.Dynamics.CRM.RetrieveUserPrivilegesResponse"),
        "RolePrivileges": granted.collect::<Vec<_>>(),
    });
    Ok(HttpResponse::json(200, body.to_string()))
}
