//! A probe of Bloom filters: key values that rule out row groups without them.

use std::collections::HashSet;

use copilot_lake_tables::Table;

use crate::keys::{KeyColumn, KeyScalar};

/// With more values, every filter is likely to match one: they are not kept.
const MAX_VALUES: usize = 1 << 15;

/// The values to find in the last key column with a Bloom filter, which is the most selective.
#[derive(Debug, Clone)]
pub(crate) struct KeyProbe {
    /// The column's position in the key, and its name; `None` in tables without such a column.
    column: Option<(usize, &'static str)>,
    /// `None` when there are too many, or some are not known.
    values: Option<HashSet<Box<str>>>,
}

impl KeyProbe {
    pub(crate) fn new(table: &'static Table) -> Self {
        let layout = table.layout();
        let fields = layout.key().iter().map(|&at| &layout.fields()[at]).enumerate();
        let column = fields.filter(|(_, field)| field.bloom).map(|(at, field)| (at, field.name.as_str())).next_back();
        Self { column, values: column.is_some().then(HashSet::new) }
    }

    /// Adds a row to find, by the leading columns of its key.
    pub(crate) fn add(&mut self, key: &[KeyColumn], row: usize) {
        let (Some((at, _)), Some(values)) = (self.column, &mut self.values) else { return };
        // Filters hold no nulls.
        let Some(KeyScalar::Text(value)) = key.get(at).map(|column| column.get(row)) else {
            self.values = None;
            return;
        };
        if !values.contains(value) {
            if values.len() == MAX_VALUES {
                self.values = None;
                return;
            }
            values.insert(value.into());
        }
    }

    /// Adds a value of the first key column, whatever the others are.
    pub(crate) fn add_first(&mut self, value: &str) {
        match (self.column, &mut self.values) {
            (Some((0, _)), Some(values)) if values.len() < MAX_VALUES => drop(values.insert(value.into())),
            _ => self.values = None,
        }
    }

    /// The probe with only those values of the first key column for which this holds.
    pub(crate) fn narrowed(&self, holds: impl Fn(&str) -> bool) -> Self {
        let keep = |values: &HashSet<Box<str>>| values.iter().filter(|value| holds(value)).cloned().collect();
        let is_of_first = matches!(self.column, Some((0, _)));
        Self {
            column: self.column,
            values: self.values.as_ref().map(|all| if is_of_first { keep(all) } else { all.clone() }),
        }
    }

    /// The column's name and the values; `None` when filters are of no use.
    pub(crate) fn values(&self) -> Option<(&'static str, &HashSet<Box<str>>)> {
        Some((self.column?.1, self.values.as_ref()?))
    }
}
