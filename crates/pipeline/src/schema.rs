//! What the environment has of the tables, as found when the run started and corrected by what it refuses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use copilot_lake_extractor::{Dataverse, Environment, Error, Presence, Selection};
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

    /// Finds out what a table's rows have where the metadata was refused: what is planned is what will be asked for, so
    /// that the next run knows it again. Any other refusal is told by what reads the table.
    pub(crate) async fn settle(&self, service: &Dataverse, table: &'static Table) {
        while self.environment.is_assumed()
            && let Some(selection) = self.selection(table)
            && let Err(Error::ColumnMissing { column, .. }) = service.first_row(table, &selection).await
            && self.forget(table, &column, &selection)
        {}
    }

    /// Asks for this property no more. `false`: it was not in what was asked for. Of slices that were refused side by side
    /// each one is to ask again.
    pub(crate) fn forget(&self, table: &'static Table, property: &str, asked: &Selection) -> bool {
        if let Some(selection) = self.selection(table) {
            let without = selection.without(property);
            if without != selection {
                tracing::warn!(table = table.name, property, "the environment has no such column; it is left out");
                self.corrected.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, without);
            }
        }
        asked.without(property) != *asked
    }
}
