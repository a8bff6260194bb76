//! Keys of rows to be deleted: complete keys and prefixes.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use copilot_lake_tables::Table;

use crate::delta::data_file::FileBounds;
use crate::keys::{self, KeyColumn};
use crate::parquet::key_probe::KeyProbe;
use crate::table_keys::TableFilters;

/// Keys of rows to be deleted.
pub(crate) struct DeleteKeys {
    table: &'static Table,
    /// By the number of leading key columns given, and whether times are.
    keys: BTreeMap<(usize, bool), KeySet>,
    probe: KeyProbe,
}

#[derive(Default)]
struct KeySet {
    hashes: HashSet<u128>,
    bounds: FileBounds,
}

impl DeleteKeys {
    pub(crate) fn new(table: &'static Table) -> Self {
        Self { table, keys: BTreeMap::new(), probe: KeyProbe::new(table) }
    }

    /// Adds the keys in a batch that has the first key columns, or all, and with `timed` also the rows' times.
    pub(crate) fn add(&mut self, batch: &RecordBatch, timed: bool) -> Result<(), ArrowError> {
        let (schema, names) = (batch.schema(), self.table.key);
        let columns: Vec<usize> = names.iter().map_while(|name| schema.index_of(name).ok()).collect();
        let given = names.iter().filter(|name| schema.index_of(name).is_ok()).count();
        if columns.is_empty() || columns.len() < given {
            return Err(ArrowError::SchemaError(format!("key column {} is missing", names[columns.len()])));
        }
        let values = KeyColumn::from_batch(batch, &columns)?;
        let times = if timed { times(self.table, batch) } else { None };
        let keys = self.keys.entry((columns.len(), times.is_some())).or_default();
        keys.bounds.key.resize(columns.len(), None);
        if let Some(times) = times {
            let before = keys.bounds.time.unwrap_or(times);
            keys.bounds.time = Some((before.0.min(times.0), before.1.max(times.1)));
        }
        for row in 0..batch.num_rows() {
            keys.hashes.insert(keys::hash(&values, row));
            keys.bounds.extend(&values, row);
            self.probe.add(&values, row);
        }
        Ok(())
    }

    /// Those that the table may hold, going by filters of its keys; `None` when they cannot tell.
    pub(crate) fn narrowed(&self, filters: &TableFilters) -> Option<Self> {
        if self.keys.keys().any(|(columns, _)| *columns != 1) {
            return None;
        }
        let mut keys = BTreeMap::new();
        for (given, set) in &self.keys {
            let mut hashes = HashSet::new();
            for hash in &set.hashes {
                if filters.begins_with(*hash)? {
                    hashes.insert(*hash);
                }
            }
            keys.insert(*given, KeySet { hashes, bounds: set.bounds.clone() });
        }
        let may_hold = |value: &str| filters.begins_with(keys::hash_of_text(value)).unwrap_or(true);
        Some(Self { table: self.table, keys, probe: self.probe.narrowed(may_hold) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bounds().next().is_none()
    }

    /// Whether a row with these key columns and that time is to be deleted.
    pub(crate) fn contains(&self, key: &[KeyColumn], row: usize, time: i64) -> bool {
        self.keys.iter().any(|(&(columns, _), keys)| {
            keys.bounds.time.is_none_or(|(low, high)| (low..=high).contains(&time))
                && keys.hashes.contains(&keys::hash(&key[..columns], row))
        })
    }

    /// The bounds of the rows to be deleted.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = &FileBounds> {
        self.keys.values().filter(|keys| !keys.hashes.is_empty()).map(|keys| &keys.bounds)
    }

    /// The values to probe Bloom filters for.
    pub(crate) fn probe(&self) -> &KeyProbe {
        &self.probe
    }
}

/// The bounds of the rows' times; `None` where the batch has no times.
fn times(table: &'static Table, batch: &RecordBatch) -> Option<(i64, i64)> {
    let layout = table.layout();
    let column = batch.column_by_name(&layout.fields()[*layout.sort().first()?].name)?;
    let column = column.as_primitive_opt::<TimestampMicrosecondType>().filter(|column| column.null_count() == 0)?;
    Some((arrow::compute::min(column)?, arrow::compute::max(column)?))
}
