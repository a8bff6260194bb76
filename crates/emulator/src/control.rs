//! The emulator's own paths, which need no sign-in: counters, rows, users, and the next phase.

use hyper::Method;
use serde_json::json;

use crate::data::json_fields::JsonFields;
use crate::data::table_store::TableStore;
use crate::graph::tenant_report::user_lines;
use crate::http::response::{HttpResponse, ServiceError};
use crate::route::ControlRoute;
use crate::state::EmulatorState;

/// Answers a request for one of these paths.
pub(crate) fn answer(state: &EmulatorState, route: &ControlRoute, method: &Method) -> HttpResponse {
    match (route, method) {
        (ControlRoute::Advance, &Method::POST) => match state.advance() {
            Ok(left) => HttpResponse::json(200, format!("{{\"phases_left\":{left}}}")),
            Err(error) => ServiceError::new(500, "", &error.to_string()).into_response(),
        },
        (ControlRoute::Served, &Method::GET) => {
            HttpResponse::json(200, serde_json::to_vec(&state.served()).unwrap_or_default())
        }
        (ControlRoute::Rows(name), &Method::GET) => {
            match state.dataverse.stores.iter().find(|store| store.table.name == name) {
                Some(store) => lines(row_lines(store)),
                None => ServiceError::no_segment(name).into_response(),
            }
        }
        (ControlRoute::GraphUsers, &Method::GET) => match &state.graph {
            Some(graph) => lines(user_lines(&graph.tenant())),
            None => ServiceError::no_segment("graph").into_response(),
        },
        _ => ServiceError::new(405, "", "The method is not allowed.").into_response(),
    }
}

/// One line of JSON per value.
fn lines(values: Vec<serde_json::Value>) -> HttpResponse {
    let text: String = values.into_iter().map(|value| format!("{value}\n")).collect();
    HttpResponse::new(200, "application/x-ndjson", [text.into()])
}

/// Key, modifiedon, versionnumber and week of every row.
fn row_lines(store: &TableStore) -> Vec<serde_json::Value> {
    let (rows, table) = (store.rows(), store.table);
    let wires: Vec<_> = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
    let line = |row: usize| {
        let json = rows.json(row);
        let fields = JsonFields::read(&json).ok()?;
        let key: Vec<_> = wires.iter().map(|wire| fields.text(wire).unwrap_or_default()).collect();
        Some(json!({
            "key": key,
            "modifiedon": fields.text("modifiedon"),
            "versionnumber": fields.raw("versionnumber").and_then(|raw| raw.parse::<i64>().ok()),
            "week": rows.index(row).week.to_string(),
        }))
    };
    (0..rows.len()).filter_map(line).collect()
}
