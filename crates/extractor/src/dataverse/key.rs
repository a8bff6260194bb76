//! Row keys, and filters for them.

use std::collections::BTreeSet;

use copilot_lake_tables::{Column, Table, Type, is_guid};
use serde_json::{Map, Value};

/// A row as a JSON object.
pub(crate) type JsonRow = Map<String, Value>;

/// Rows per request: servers and proxies reject long URLs.
const ROWS_PER_REQUEST: usize = 40;

/// The key columns, in order.
fn columns(table: &'static Table) -> impl Iterator<Item = &'static Column> {
    table.key.iter().filter_map(|name| table.column(name))
}

/// The key of a row: GUIDs in lower case, a missing part empty.
pub(crate) fn from_row(table: &'static Table, row: &JsonRow) -> Vec<String> {
    let part = |column: &Column| {
        let text = row.get(column.wire).and_then(Value::as_str).unwrap_or_default();
        if is_guid(text) { text.to_ascii_lowercase() } else { text.to_owned() }
    };
    columns(table).map(part).collect()
}

/// Filters for rows whose key begins with one of these ids, one filter per request. An id of the wrong type is skipped.
pub(crate) fn filters(table: &'static Table, ids: &[String]) -> Vec<String> {
    let Some(column) = columns(table).next() else { return Vec::new() };
    let ids: BTreeSet<String> = match column.ty {
        Type::Guid => ids.iter().filter(|id| is_guid(id)).map(|id| id.to_ascii_lowercase()).collect(),
        _ => ids.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect(),
    };
    let terms: Vec<_> = ids.iter().map(|id| format!("{} eq {id}", column.wire)).collect();
    terms.chunks(ROWS_PER_REQUEST).map(|terms| terms.join(" or ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::{COPILOT_EVENT, SYSTEM_USER};

    const ID: &str = "F9D841E5-0000-4000-8000-000000000001";

    #[test]
    fn a_key_is_in_lower_case_and_has_every_part() {
        let row = serde_json::json!({ "msdyn_copiloteventid": ID, "partitionid": null });
        let key = from_row(&COPILOT_EVENT, row.as_object().unwrap());
        assert_eq!(key, [ID.to_lowercase().as_str(), ""]);
    }

    #[test]
    fn ids_are_asked_for_once_and_forty_at_a_time() {
        let id = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
        let ids: Vec<_> = (0..41).chain(0..41).map(id).collect();
        let filters = filters(&SYSTEM_USER, &ids);
        let counts: Vec<_> = filters.iter().map(|filter| filter.split(" or ").count()).collect();
        assert_eq!(counts, [40, 1]);
        assert_eq!(filters[1], format!("systemuserid eq {}", id(40)));
        assert!(filters[0].len() < 3_000);
    }

    #[test]
    fn what_is_no_guid_is_never_asked_for() {
        let ids = ["", "x eq 1 or true", "f9d841e5-0000-4000-8000-00000000000g"].map(str::to_owned);
        assert!(filters(&SYSTEM_USER, &ids).is_empty());
        let filter = filters(&COPILOT_EVENT, &[ID.to_owned()]);
        assert_eq!(filter, [format!("msdyn_copiloteventid eq {}", ID.to_lowercase())]);
    }
}
