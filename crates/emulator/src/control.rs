//! What only the emulator has: its counters, its list of rows, and the next phase.

use std::sync::PoisonError;

use bytes::Bytes;
use hyper::Method;

use crate::Error;
use crate::data::json_fields::Fields;
use crate::data::table_store::Store;
use crate::http::response::{Answer, Refusal};
use crate::route::Route;
use crate::served::{Served, TableServed};
use crate::server::Server;

impl Server {
    /// Answers what only the emulator has; without sign-in.
    pub(crate) fn answer_own(&self, route: &Route, method: &Method) -> Answer {
        match (route, method) {
            (Route::Advance, &Method::POST) => match self.advance() {
                Ok(left) => Answer::json(200, format!("{{\"phases_left\":{left}}}")),
                Err(error) => Refusal::new(500, "", &error.to_string()).into_answer(),
            },
            (Route::Served, &Method::GET) => {
                let body = serde_json::to_vec(&self.served()).unwrap_or_default();
                Answer::json(200, body)
            }
            (Route::Requests, &Method::GET) => {
                let mut requests = self.recorder.requests().into_iter();
                Answer::lines(move || {
                    let mut line = serde_json::to_vec(&requests.next()?).unwrap_or_default();
                    line.push(b'\n');
                    Some(Bytes::from(line))
                })
            }
            (Route::GraphInteractions | Route::GraphUsers, &Method::GET) => match &self.graph {
                Some(graph) if *route == Route::GraphUsers => graph.user_lines(),
                Some(graph) => graph.interaction_lines(self.clock.now()),
                None => Refusal::no_segment("graph").into_answer(),
            },
            (Route::Rows(name), &Method::GET) => match self.stores.iter().find(|store| store.table.name == name) {
                Some(store) => row_lines(store),
                None => Refusal::no_segment(name).into_answer(),
            },
            _ => Refusal::new(405, "", "The method is not allowed.").into_answer(),
        }
    }

    /// Applies the next phase; says how many are left. Without one nothing happens.
    pub(crate) fn advance(&self) -> Result<usize, Error> {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(phase) = phases.pop_front() {
            let before = self.clock.now();
            if let Some(clock) = phase.clock {
                self.clock.fix(clock.0);
            }
            for (number, store) in self.stores.iter().enumerate() {
                store.apply(&phase, number == 0, &self.clock)?;
            }
            if let (Some(graph), Some(phase)) = (&self.graph, &phase.graph) {
                graph.advance(phase, before, self.clock.now())?;
            }
        }
        Ok(phases.len())
    }

    pub(crate) fn served(&self) -> Served {
        let mut served = self.recorder.served(self.faults.fired());
        for store in &self.stores {
            let deleted = store.changes().deleted;
            served.deleted += deleted;
            served.tables.insert(store.table.name, TableServed { deleted, ..TableServed::count(&store.rows()) });
        }
        served.graph = self.graph.as_ref().map(|graph| graph.served(self.clock.now()));
        served
    }
}

/// Key, modifiedon, versionnumber and week of every row, a JSON object per line.
fn row_lines(store: &Store) -> Answer {
    let (rows, table) = (store.rows(), store.table);
    let wires: Vec<_> = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
    let mut at = 0;
    Answer::lines(move || {
        let mut lines = Vec::new();
        let end = rows.len().min(at + 1_000);
        for row in at..end {
            let json = rows.json(row);
            let Ok(fields) = Fields::read(&json) else { continue };
            let key: Vec<_> = wires.iter().map(|wire| fields.text(wire).unwrap_or_default()).collect();
            let line = serde_json::json!({
                "key": key,
                "modifiedon": fields.text("modifiedon"),
                "versionnumber": fields.raw("versionnumber").and_then(|raw| raw.parse::<i64>().ok()),
                "week": rows.week(row).to_string(),
            });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
        at = end;
        (!lines.is_empty()).then(|| Bytes::from(lines))
    })
}
