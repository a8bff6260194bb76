//! What the environment has of the tables, as found when the run started and corrected by what it refuses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use copilot_lake_extractor::{Environment, Presence, Selection};
use copilot_lake_tables::Table;

/// What is asked of each table.
pub(crate) struct Schema {
    environment: Environment,
    /// Columns that were refused are no longer asked for.
    corrected: Mutex<BTreeMap<&'static str, Selection>>,
}

impl Schema {
    pub(crate) fn new(environment: Environment) -> Self {
        Self { environment, corrected: Mutex::default() }
    }

    /// What the environment has of a table; `None` when it has no such table.
    pub(crate) fn presence(&self, table: &Table) -> Option<&Presence> {
        self.environment.table(table.name)
    }

    /// What is asked of a table's rows; `None` when the environment has no such table.
    pub(crate) fn selection(&self, table: &'static Table) -> Option<Selection> {
        let corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner);
        corrected.get(table.name).or_else(|| Some(&self.presence(table)?.selection)).cloned()
    }

    /// Asks for this property no more. `false`: it was not asked for.
    pub(crate) fn forget(&self, table: &'static Table, property: &str) -> bool {
        let Some(selection) = self.selection(table) else { return false };
        let without = selection.without(property);
        if without == selection {
            return false;
        }
        self.corrected.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, without);
        true
    }
}
