//! Row counts: the service's own counts, at most a day old.

use std::collections::BTreeMap;

use copilot_lake_tables::Table;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::request;
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::Request;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RowCountsResponse {
    entity_record_count_collection: RowCounts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RowCounts {
    keys: Vec<String>,
    /// Numbers; anything else is ignored.
    values: Vec<Value>,
}

/// Requests the counts of all tables at once, and if that is refused, one by one: a single bad name fails the call.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    tables: &[&'static Table],
) -> Result<BTreeMap<&'static str, u64>, Error> {
    match fetch_batch(client, api, tables).await {
        Err(error) if error.is_refusal() => {}
        totals => return totals,
    }
    let mut totals = BTreeMap::new();
    for table in tables.iter().filter(|_| tables.len() > 1) {
        match fetch_batch(client, api, std::slice::from_ref(table)).await {
            Ok(total) => totals.extend(total),
            Err(error) if error.is_refusal() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(totals)
}

async fn fetch_batch(
    client: &Client,
    api: &Url,
    tables: &[&'static Table],
) -> Result<BTreeMap<&'static str, u64>, Error> {
    let request = Request::json(request::totals_url(api, tables)?);
    let counted: RowCountsResponse = client.fetch_json(&request, "the response is not a list of totals").await?;
    let RowCounts { keys, values } = counted.entity_record_count_collection;
    let named = keys
        .iter()
        .zip(values)
        .filter_map(|(name, total)| Some((tables.iter().find(|table| table.name == name)?.name, total.as_u64()?)));
    Ok(named.collect())
}
