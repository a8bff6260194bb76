//! The emulator's own paths, which need no sign-in: its counters, its rows and users, and the next phase.

use hyper::Method;
use serde_json::json;

use crate::data::json_fields::Fields;
use crate::data::table_store::Store;
use crate::graph::report::user_lines;
use crate::http::response::{Answer, Refusal};
use crate::route::ControlRoute;
use crate::state::State;

/// Answers a request for one of these paths.
pub(crate) fn answer(state: &State, route: &ControlRoute, method: &Method) -> Answer {
    match (route, method) {
        (ControlRoute::Advance, &Method::POST) => match state.advance() {
            Ok(left) => Answer::json(200, format!("{{\"phases_left\":{left}}}")),
            Err(error) => Refusal::new(500, "", &error.to_string()).into_answer(),
        },
        (ControlRoute::Served, &Method::GET) => {
            Answer::json(200, serde_json::to_vec(&state.served()).unwrap_or_default())
        }
        (ControlRoute::Rows(name), &Method::GET) => {
            match state.dataverse.stores.iter().find(|store| store.table.name == name) {
                Some(store) => lines(row_lines(store)),
                None => Refusal::no_segment(name).into_answer(),
            }
        }
        (ControlRoute::GraphUsers, &Method::GET) => match &state.graph {
            Some(graph) => lines(user_lines(&graph.tenant())),
            None => Refusal::no_segment("graph").into_answer(),
        },
        _ => Refusal::new(405, "", "The method is not allowed.").into_answer(),
    }
}

/// A line of JSON each.
fn lines(values: Vec<serde_json::Value>) -> Answer {
    let text: String = values.into_iter().map(|value| format!("{value}\n")).collect();
    Answer::new(200, "application/x-ndjson", [text.into()])
}

/// Key, modifiedon, versionnumber and week of every row.
fn row_lines(store: &Store) -> Vec<serde_json::Value> {
    let (rows, table) = (store.rows(), store.table);
    let wires: Vec<_> = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
    let line = |row: usize| {
        let json = rows.json(row);
        let fields = Fields::read(&json).ok()?;
        let key: Vec<_> = wires.iter().map(|wire| fields.text(wire).unwrap_or_default()).collect();
        Some(json!({
            "key": key,
            "modifiedon": fields.text("modifiedon"),
            "versionnumber": fields.raw("versionnumber").and_then(|raw| raw.parse::<i64>().ok()),
            "week": rows.week(row).to_string(),
        }))
    };
    (0..rows.len()).filter_map(line).collect()
}
