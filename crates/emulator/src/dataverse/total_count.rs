//! `RetrieveTotalRecordCount(EntityNames=@p1)`: the row counts of several tables.

use serde_json::json;
use url::form_urlencoded;

use crate::data::table_store::TableStore;
use crate::http::response::{HttpResponse, ServiceError};

/// Answers for the tables that the query names: `@p1=["a","b"]`.
pub(crate) fn total_count(
    stores: &[TableStore],
    query: &str,
    root: &str,
    counts_elastic: bool,
) -> Result<HttpResponse, ServiceError> {
    let value = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "@p1").map(|(_, value)| value);
    let names = value.and_then(|value| serde_json::from_str::<Vec<String>>(&value).ok());
    let names = names.ok_or_else(|| ServiceError::bad_request("The parameter 'EntityNames' is no list of names."))?;
    let mut counts = Vec::new();
    for name in &names {
        let store = stores.iter().find(|store| store.table.name == name && !store.absent);
        let store = store.ok_or_else(|| {
            ServiceError::new(404, "0x80040217", &format!("Could not find an entity with name {name}."))
        })?;
        if store.elastic && !counts_elastic {
            let message = format!("RetrieveTotalRecordCount is not supported for elastic table {name}.");
            return Err(ServiceError::new(400, "0x80040203", &message));
        }
        counts.push(store.rows().len());
    }
    let body = json!({
        "@odata.context": format!("{root}$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse"),
        "EntityRecordCountCollection": { "Count": names.len(), "IsReadOnly": false, "Keys": names, "Values": counts },
    });
    Ok(HttpResponse::json(200, body.to_string()))
}
