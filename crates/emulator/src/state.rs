//! The state of a running emulator: both services, what they share, and the remaining phases.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::dataverse::emulated_dataverse::EmulatedDataverse;
use crate::error::Error;
use crate::graph::emulated_graph::EmulatedGraph;
use crate::http::api_request::SharedState;
use crate::http::faults::Faults;
use crate::scenario::service_settings::ServiceSettings;
use crate::scenario::specs::Phase;
use crate::served::{GraphServed, Served};

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct EmulatorState {
    pub(crate) dataverse: EmulatedDataverse,
    pub(crate) graph: Option<EmulatedGraph>,
    pub(crate) shared: SharedState,
    pub(crate) faults: Faults,
    pub(crate) settings: ServiceSettings,
    pub(crate) phases: Mutex<VecDeque<Phase>>,
}

impl EmulatorState {
    /// Applies the next phase, if any; returns how many remain.
    pub(crate) fn advance(&self) -> Result<usize, Error> {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(phase) = phases.pop_front() {
            let clock = &self.shared.clock;
            let before = clock.now();
            if let Some(at) = phase.clock {
                clock.fix(at.0);
            }
            for (number, store) in self.dataverse.stores.iter().enumerate() {
                store.apply(&phase, number == 0, clock)?;
            }
            if let (Some(graph), Some(phase)) = (&self.graph, &phase.graph) {
                graph.advance(phase, before, clock.now())?;
            }
        }
        Ok(phases.len())
    }

    pub(crate) fn served(&self) -> Served {
        let (served, of_graph) = self.shared.recorder.served();
        let tables = self.dataverse.served();
        let graph = self.graph.as_ref().map(|graph| {
            let GraphServed { users, licensed, interactions, .. } = graph.served(self.shared.clock.now());
            GraphServed { users, licensed, interactions, ..of_graph }
        });
        let deleted = tables.values().map(|table| table.deleted).sum();
        Served { faults: self.faults.fired(), deleted, tables, graph, ..served }
    }
}
