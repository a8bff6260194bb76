//! Tables with their columns: `EntityDefinitions?$select=..&$filter=..&$expand=Attributes($select=..)`.

use serde_json::{Map, Value, json};

use crate::data::random::{guid_text, hash};
use crate::data::table_store::TableStore;
use crate::dataverse::metadata::column_metadata::{SELECTABLE, attributes};
use crate::dataverse::metadata::options::{MetadataOptions, project};
use crate::http::response::{HttpResponse, ServiceError};

/// Answers with the tables that the filter keeps.
pub(crate) fn definitions(stores: &[TableStore], query: &str, root: &str) -> Result<HttpResponse, ServiceError> {
    let options = MetadataOptions::parse(query)?;
    let mut tables = Vec::new();
    for store in stores.iter().filter(|store| !store.absent) {
        let mut table = table(store);
        if !options.keeps(&table) {
            continue;
        }
        project(&mut table, &options, &["LogicalName", "ChangeTrackingEnabled"], "EntityMetadata")?;
        for (name, nested) in &options.expand {
            if name != "Attributes" {
                return Err(ServiceError::no_property(name, "EntityMetadata"));
            }
            table.insert(name.clone(), columns(store, nested)?);
        }
        tables.push(Value::Object(table));
    }
    let body = json!({ "@odata.context": format!("{root}$metadata#EntityDefinitions"), "value": tables });
    Ok(HttpResponse::json(200, body.to_string()))
}

fn table(store: &TableStore) -> Map<String, Value> {
    let name = store.table.name;
    Map::from_iter([
        ("MetadataId".to_owned(), guid_text(hash(name.as_bytes())).into()),
        ("LogicalName".to_owned(), name.into()),
        ("ChangeTrackingEnabled".to_owned(), store.tracked.into()),
    ])
}

fn columns(store: &TableStore, options: &MetadataOptions) -> Result<Value, ServiceError> {
    let columns = attributes(store).into_iter().map(|attribute| {
        let mut all =
            Map::from_iter([("@odata.type".to_owned(), format!("#Microsoft.Dynamics.CRM.{}", attribute.kind).into())]);
        let mut properties = attribute.properties(store.table.name);
        project(&mut properties, options, SELECTABLE, "AttributeMetadata")?;
        all.append(&mut properties);
        Ok(Value::Object(all))
    });
    columns.collect()
}
