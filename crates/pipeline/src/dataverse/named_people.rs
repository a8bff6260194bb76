//! The people whom rows name, collected while pages are decoded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use copilot_lake_tables::Table;

/// The ids of people whom rows name. Clones are the same set.
#[derive(Clone, Default)]
pub(crate) struct NamedPeople(Arc<Mutex<HashSet<String>>>);

impl NamedPeople {
    /// Adds the people whom these rows name.
    pub(crate) fn collect(&self, table: &'static Table, batch: &RecordBatch) {
        let columns: Vec<_> = table.people().filter_map(|column| batch.column_by_name(column.name)).collect();
        if columns.is_empty() {
            return;
        }
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = "";
        for column in columns {
            let column = column.as_string::<i32>();
            for id in (0..column.len()).filter(|row| column.is_valid(*row)).map(|row| column.value(row)) {
                // Neighbouring rows mostly name the same person.
                if id != last && !ids.contains(id) {
                    ids.insert(id.to_owned());
                }
                last = id;
            }
        }
    }

    /// Returns the collected ids, and starts over.
    pub(crate) fn drain(&self) -> HashSet<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
