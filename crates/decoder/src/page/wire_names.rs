//! Wire names of columns.

use std::collections::HashMap;

/// The wire names of columns, and which usually follows which.
pub(crate) struct WireNames {
    pub(super) wires: Vec<&'static str>,
    /// Each of them as it stands before a value, with quotes and colon.
    pub(super) tokens: Vec<String>,
    lookup: HashMap<&'static str, usize>,
    /// What followed each property last time: the order within a row hardly ever changes.
    pub(super) next_slot: Vec<usize>,
}

/// The annotation at the start of every Dataverse row.
const ETAG: &str = "@odata.etag";

impl WireNames {
    pub(crate) fn new(wires: impl Iterator<Item = &'static str>) -> Self {
        let mut wires: Vec<_> = wires.collect();
        let lookup = wires.iter().enumerate().map(|(at, wire)| (*wire, at)).collect();
        wires.push(ETAG);
        let tokens = wires.iter().map(|wire| format!("\"{wire}\":")).collect();
        let next_slot = vec![0; wires.len() + 1];
        Self { wires, tokens, lookup, next_slot }
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.lookup.get(name).copied()
    }
}
