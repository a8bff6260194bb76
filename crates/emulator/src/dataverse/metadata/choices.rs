//! The options of a table's choice columns of one kind:
//! `EntityDefinitions(LogicalName='t')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=..&$expand=OptionSet`.

use serde_json::{Value, json};

use crate::data::table_store::TableStore;
use crate::dataverse::metadata::column_metadata::{ColumnMetadata, attributes};
use crate::dataverse::metadata::label::option_set;
use crate::dataverse::metadata::options::{MetadataOptions, project};
use crate::http::response::{HttpResponse, ServiceError};

/// The kinds of choice columns.
const KINDS: [&str; 3] = ["PicklistAttributeMetadata", "StateAttributeMetadata", "StatusAttributeMetadata"];

/// Answers with the columns of a table that are of a kind; `language` is the caller's.
pub(crate) fn choices(
    stores: &[TableStore],
    table: &str,
    kind: &str,
    query: &str,
    root: &str,
    language: i32,
) -> Result<HttpResponse, ServiceError> {
    let options = MetadataOptions::parse(query)?;
    let store = stores.iter().find(|store| !store.absent && store.table.name == table).ok_or_else(|| {
        let message =
            format!("Could not find an entity with name {table} and id 00000000-0000-0000-0000-000000000000.");
        ServiceError::new(404, "0x80040217", &message)
    })?;
    let segment = format!("Microsoft.Dynamics.CRM.{kind}");
    if !KINDS.contains(&kind) {
        return Err(ServiceError::no_segment(&segment));
    }
    let mut columns = Vec::new();
    for attribute in attributes(store).into_iter().filter(|attribute| attribute.kind == kind) {
        let mut column = attribute.properties(table);
        project(&mut column, &options, &["LogicalName"], kind)?;
        for (name, _) in &options.expand {
            let set = expanded(store, &attribute, name, language);
            column.insert(name.clone(), set.ok_or_else(|| ServiceError::no_property(name, kind))?);
        }
        columns.push(Value::Object(column));
    }
    let context = format!("{root}$metadata#EntityDefinitions('{table}')/Attributes/{segment}");
    Ok(HttpResponse::json(200, json!({ "@odata.context": context, "value": columns }).to_string()))
}

/// The options of a column, its own or the global ones.
fn expanded(store: &TableStore, attribute: &ColumnMetadata, name: &str, language: i32) -> Option<Value> {
    let (column, set) = attribute.choice()?;
    let columns = store.view().columns;
    // Choices of elastic tables are global to the environment.
    let is_global = store.elastic && !columns.is_added(column);
    match name {
        "GlobalOptionSet" if !is_global => Some(Value::Null),
        "OptionSet" | "GlobalOptionSet" => {
            let labels = |code| columns.labels(column, code);
            Some(option_set((set.name, is_global, attribute.code), &columns.options(column), labels, language))
        }
        _ => None,
    }
}
