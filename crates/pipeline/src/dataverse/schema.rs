//! What the environment has of the tables: found when the run starts, and corrected when a column is refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use copilot_lake_extractor::{AnyFile, Dataverse, Environment, Error, Presence, Selection};
use copilot_lake_tables::Table;

use crate::dataverse::coverage::Coverage;

/// What a row that names no File in a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileVisibility {
    /// There is none: rows show every File.
    Everything,
    /// Perhaps there is one that may not be read: only a request tells.
    Perhaps,
    /// Nothing: the column is not requested.
    Nothing,
}

/// The selection of each table.
pub(crate) struct Schema {
    environment: Environment,
    /// The selections of tables of which a column was left out.
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

    /// Whether rows that name no File in a column have none.
    pub(crate) fn shows_files(&self, table: &'static Table, column: &str) -> FileVisibility {
        let is_selected = self
            .selection(table)
            .is_some_and(|selection| table.column(column).is_some_and(|column| selection.contains(column.wire)));
        let may_hide = self.environment.is_assumed()
            || self.presence(table).is_some_and(|presence| presence.secured.contains(&column));
        match (is_selected, may_hide) {
            (false, _) => FileVisibility::Nothing,
            (true, true) => FileVisibility::Perhaps,
            (true, false) => FileVisibility::Everything,
        }
    }

    /// What that selection covers of a table's columns.
    pub(crate) fn coverage(&self, table: &'static Table, selection: &Selection) -> Coverage {
        // After a correction, the selection is not what the environment lists.
        let is_corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner).contains_key(table.name);
        Coverage::new(table, selection, !self.environment.is_assumed() && !is_corrected)
    }

    /// The selection of a table; `None` when the environment has no such table.
    pub(crate) fn selection(&self, table: &'static Table) -> Option<Selection> {
        let corrected = self.corrected.lock().unwrap_or_else(PoisonError::into_inner);
        corrected.get(table.name).or_else(|| Some(&self.presence(table)?.selection)).cloned()
    }

    /// Settles the selection of a table before its slices are planned, so that the next run recognises it: tries it out
    /// when the metadata could not be read, and leaves out secured columns of which no File is shown. Any other refusal
    /// is found by whatever reads the table.
    pub(crate) async fn settle(&self, service: &Dataverse, table: &'static Table) {
        while self.environment.is_assumed()
            && let Some(selection) = self.selection(table)
            && let Err(Error::ColumnMissing { column, .. }) = service.first_row(table, &selection).await
            && self.forget(table, &column, &selection)
        {}
        // Values that may not be read are null, without an error. A column that is left out is read as soon as it is
        // shown.
        for column in self.presence(table).map(|presence| presence.secured.clone()).unwrap_or_default() {
            if matches!(service.any_file(table, column).await, Ok(AnyFile::None)) {
                tracing::warn!(
                    table = table.name,
                    column,
                    "the column is secured and no row shows a File in it: it is left out; to read its Files, add the \
                     identity to a column security profile that may read it"
                );
                let name = format!("{column}_name");
                for column in table.columns.iter().filter(|known| known.name == column || known.name == name) {
                    self.leave_out(table, column.wire);
                }
            }
        }
    }

    /// Leaves out a property that the environment lacks. Returns whether it was in `selection`: of slices that were refused
    /// side by side, each has to be read again.
    pub(crate) fn forget(&self, table: &'static Table, property: &str, selection: &Selection) -> bool {
        if self.leave_out(table, property) {
            tracing::warn!(table = table.name, property, "the environment has no such column; it is left out");
        }
        selection.without(property) != *selection
    }

    /// Leaves out a property from now on. Returns whether it was in the selection.
    fn leave_out(&self, table: &'static Table, property: &str) -> bool {
        let Some(selection) = self.selection(table) else { return false };
        let without = selection.without(property);
        let was_selected = without != selection;
        if was_selected {
            self.corrected.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name, without);
        }
        was_selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::{COPILOT_EVENT, COPILOT_INTERACTION};

    const FILE: &str = "msdyn_interactiondata";

    fn schema(secured: &[&'static str]) -> Schema {
        let presence = Presence {
            selection: Selection::all(&COPILOT_EVENT),
            lacks: vec![],
            unknown: vec![],
            tracks_changes: false,
            secured: secured.to_vec(),
        };
        Schema::new(Environment::new(BTreeMap::from([(COPILOT_EVENT.name, presence)])))
    }

    #[test]
    fn a_table_that_the_environment_lacks_has_no_selection() {
        assert_eq!(schema(&[]).selection(&COPILOT_EVENT), Some(Selection::all(&COPILOT_EVENT)));
        assert_eq!(schema(&[]).selection(&COPILOT_INTERACTION), None);
    }

    #[test]
    fn rows_show_files_unless_the_column_is_secured_or_left_out() {
        let shown = |schema: &Schema| schema.shows_files(&COPILOT_EVENT, FILE);
        assert_eq!(shown(&schema(&[])), FileVisibility::Everything);
        assert_eq!(shown(&schema(&[FILE])), FileVisibility::Perhaps);
        assert_eq!(shown(&Schema::new(Environment::assume(&[&COPILOT_EVENT]))), FileVisibility::Perhaps);
        let left_out = schema(&[FILE]);
        assert!(left_out.forget(&COPILOT_EVENT, FILE, &Selection::all(&COPILOT_EVENT)));
        assert_eq!(shown(&left_out), FileVisibility::Nothing);
    }

    #[test]
    fn a_refused_column_is_left_out_and_every_slice_that_requested_it_tries_again() {
        let schema = schema(&[]);
        let requested = Selection::all(&COPILOT_EVENT);
        assert!(schema.forget(&COPILOT_EVENT, "msdyn_verbatim", &requested));
        let without = schema.selection(&COPILOT_EVENT).unwrap();
        assert_eq!(without, requested.without("msdyn_verbatim"));
        assert!(schema.forget(&COPILOT_EVENT, "msdyn_verbatim", &requested), "a slice that was refused side by side");
        assert!(!schema.forget(&COPILOT_EVENT, "msdyn_verbatim", &without), "it did not request it");
        assert_eq!(schema.selection(&COPILOT_EVENT), Some(without));
    }

    #[test]
    fn unknown_properties_are_covered_until_the_selection_is_corrected() {
        let (schema, all) = (schema(&[]), Selection::all(&COPILOT_EVENT));
        assert_eq!(schema.coverage(&COPILOT_EVENT, &all), Coverage::new(&COPILOT_EVENT, &all, true));
        schema.forget(&COPILOT_EVENT, "msdyn_verbatim", &all);
        assert_eq!(schema.coverage(&COPILOT_EVENT, &all), Coverage::new(&COPILOT_EVENT, &all, false));
        let assumed = Schema::new(Environment::assume(&[&COPILOT_EVENT]));
        assert_eq!(assumed.coverage(&COPILOT_EVENT, &all), Coverage::new(&COPILOT_EVENT, &all, false));
    }
}
