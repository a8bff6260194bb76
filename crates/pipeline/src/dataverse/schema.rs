//! What the environment has of the tables, as found when the run started and corrected by what it refuses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use copilot_lake_extractor::{AnyFile, Dataverse, Environment, Error, Presence, Selection};
use copilot_lake_tables::Table;

use crate::dataverse::coverage::Coverage;

/// What rows say of the Files in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileVisibility {
    /// What there is.
    Everything,
    /// What may be read, or nothing: the service has to be asked.
    Perhaps,
    /// Nothing: the column is not asked for.
    Nothing,
}

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

    /// Whether rows that show no File in a column have none: it was asked for, and is not one that may be hidden.
    pub(crate) fn shows_files(&self, table: &'static Table, column: &str) -> FileVisibility {
        let is_asked = self
            .selection(table)
            .is_some_and(|asked| table.column(column).is_some_and(|column| asked.contains(column.wire)));
        let may_hide = self.environment.is_assumed()
            || self.presence(table).is_some_and(|presence| presence.secured.contains(&column));
        match (is_asked, may_hide) {
            (false, _) => FileVisibility::Nothing,
            (true, true) => FileVisibility::Perhaps,
            (true, false) => FileVisibility::Everything,
        }
    }

    /// What a reading of that selection covers of a table's rows.
    pub(crate) fn coverage(&self, table: &'static Table, selection: &Selection) -> Coverage {
        // What was refused since is not what the environment lists.
        let is_corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner).contains_key(table.name);
        Coverage::new(table, selection, !self.environment.is_assumed() && !is_corrected)
    }

    /// What is asked of a table's rows; `None` when the environment has no such table.
    pub(crate) fn selection(&self, table: &'static Table) -> Option<Selection> {
        let corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner);
        corrected.get(table.name).or_else(|| Some(&self.presence(table)?.selection)).cloned()
    }

    /// Finds out what a table's rows show: where the metadata was refused, and of secured columns. What is planned is what will be asked for, so
    /// that the next run knows it again. Any other refusal is told by what reads the table.
    pub(crate) async fn settle(&self, service: &Dataverse, table: &'static Table) {
        while self.environment.is_assumed()
            && let Some(selection) = self.selection(table)
            && let Err(Error::ColumnMissing { column, .. }) = service.first_row(table, &selection).await
            && self.forget(table, &column, &selection)
        {}
        // What may not be read is null in rows, without an error. RestartBarrier out of what is asked, it is read once it is shown.
        for column in self.presence(table).map(|presence| presence.secured.clone()).unwrap_or_default() {
            if matches!(service.any_file(table, column).await, Ok(AnyFile::None)) {
                tracing::warn!(
                    table = table.name,
                    column,
                    "the column is secured and no row shows a File in it: it is left out; a column security profile that \
                     may read it brings its Files"
                );
                let name = format!("{column}_name");
                for column in table.columns.iter().filter(|known| known.name == column || known.name == name) {
                    self.leave_out(table, column.wire);
                }
            }
        }
    }

    /// Asks for this property no more. `false`: it was not in what was asked for. Of slices that were refused side by side
    /// each one is to ask again.
    pub(crate) fn forget(&self, table: &'static Table, property: &str, asked: &Selection) -> bool {
        if self.leave_out(table, property) {
            tracing::warn!(table = table.name, property, "the environment has no such column; it is left out");
        }
        asked.without(property) != *asked
    }

    /// Asks for this property no more. `false`: it was not asked for before.
    fn leave_out(&self, table: &'static Table, property: &str) -> bool {
        let Some(selection) = self.selection(table) else { return false };
        let without = selection.without(property);
        let was_asked = without != selection;
        if was_asked {
            self.corrected.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, without);
        }
        was_asked
    }
}
