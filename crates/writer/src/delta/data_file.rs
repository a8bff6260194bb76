//! A data file as the log knows it: its path and the bounds of its rows.

use std::collections::{BTreeSet, HashMap};

use arrow::datatypes::DataType;
use copilot_lake_tables::{Instant, Table, WEEK_START, Week};
use deltalake::kernel::{Add, Remove};
use object_store::path::Path;
use serde_json::Value;

use crate::clock::now_millis;
use crate::keys::{self, KeyColumn};
use crate::storage::paths;

/// A Parquet file of a table.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    /// Where it is in the lake.
    pub(crate) path: Path,
    /// Bytes.
    pub(crate) size: u64,
    /// Rows, where the log says so.
    pub(crate) rows: Option<u64>,
    /// Its week; `None` in tables that are not partitioned.
    pub(crate) week: Option<Week>,
    /// The log's statistics, as text.
    pub(crate) stats: Option<String>,
    /// Bounds of its rows.
    pub(crate) bounds: FileBounds,
    /// When it was written, in milliseconds.
    pub(crate) modified: i64,
}

/// The bounds of a file's rows, inclusive.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileBounds {
    /// Of the time that files are sorted by, in microseconds; `None` when unknown.
    pub(crate) time: Option<(i64, i64)>,
    /// Of each key column that is text; `None` when unknown.
    pub(crate) key: Vec<Option<(String, String)>>,
}

impl DataFile {
    /// The file that the log describes.
    pub(crate) fn new(
        table: &'static Table,
        path: Path,
        week: Option<Week>,
        size: u64,
        modified: i64,
        stats: Option<String>,
    ) -> Self {
        let parsed = stats.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let bounds = parsed.as_ref().map(|stats| FileBounds::from_statistics(table, stats)).unwrap_or_default();
        let rows = parsed.as_ref().and_then(|stats| stats["numRecords"].as_u64());
        Self { path, size, rows, week, stats, bounds, modified }
    }

    /// Orders files by their newest row, then by the oldest, then by the time of writing; a file of unknown times comes
    /// last.
    pub(crate) fn recency(&self) -> ((i64, i64), i64) {
        let times = self.bounds.time.map_or((i64::MAX, i64::MAX), |(low, high)| (high, low));
        (times, self.modified)
    }

    fn partition_values(&self) -> HashMap<String, Option<String>> {
        self.week.map(|week| (WEEK_START.to_owned(), Some(week.to_string()))).into_iter().collect()
    }

    /// The log action that adds it.
    pub(crate) fn add(&self, table: &Table) -> Add {
        Add {
            path: paths::in_table(table, &self.path),
            partition_values: self.partition_values(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified,
            data_change: true,
            stats: self.stats.clone(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    /// The log action that removes it.
    pub(crate) fn remove(&self, table: &Table) -> Remove {
        Remove {
            path: paths::in_table(table, &self.path),
            data_change: true,
            deletion_timestamp: Some(now_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values()),
            size: Some(i64::try_from(self.size).unwrap_or(i64::MAX)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
        }
    }
}

impl FileBounds {
    /// Reads the log's statistics; what is missing or unreadable is unbounded.
    fn from_statistics(table: &'static Table, stats: &Value) -> Self {
        let layout = table.layout();
        let text = |part: &str, at: usize| stats[part][layout.fields()[at].name.as_str()].as_str();
        let nulls = |at: usize| stats["nullCount"][layout.fields()[at].name.as_str()].as_i64();
        let time = layout.sort().first().and_then(|&at| {
            let low = text("minValues", at).and_then(Instant::parse);
            let high = text("maxValues", at).and_then(Instant::parse);
            match (low, high, nulls(at)) {
                // The log has milliseconds only, and some writers truncate the upper bound.
                (Some(low), Some(high), Some(0)) => Some((low.0, high.0.saturating_add(999))),
                // Rows without a time sort first.
                (Some(_), Some(high), Some(_)) => Some((i64::MIN, high.0.saturating_add(999))),
                (None, None, Some(nulls)) if Some(nulls) == stats["numRecords"].as_i64() => Some((i64::MIN, i64::MIN)),
                _ => None,
            }
        });
        let key = layout.key().iter().map(|&at| {
            let bounded = matches!(layout.schema().field(at).data_type(), DataType::Utf8) && nulls(at) == Some(0);
            bounded.then(|| Some((text("minValues", at)?.to_owned(), text("maxValues", at)?.to_owned()))).flatten()
        });
        Self { time, key: key.collect() }
    }

    /// Empty bounds of keys with that many columns.
    pub(crate) fn of_keys(columns: usize) -> Self {
        Self { time: None, key: vec![None; columns] }
    }

    /// Widens the bounds of text keys to include a row.
    pub(crate) fn extend(&mut self, columns: &[KeyColumn], row: usize) {
        for (column, bounds) in columns.iter().zip(&mut self.key) {
            let keys::KeyScalar::Text(text) = column.get(row) else { continue };
            match bounds {
                None => *bounds = Some((text.to_owned(), text.to_owned())),
                Some((low, _)) if text < low.as_str() => text.clone_into(low),
                Some((_, high)) if text > high.as_str() => text.clone_into(high),
                Some(_) => {}
            }
        }
    }

    /// Whether rows of both may have the same time.
    pub(crate) fn times_overlap(&self, other: &Self) -> bool {
        match (self.time, other.time) {
            (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
            _ => true,
        }
    }

    /// Whether a row may have one of these values in the first key column.
    pub(crate) fn may_contain_any(&self, ids: &BTreeSet<String>) -> bool {
        match self.key.first() {
            Some(Some((low, high))) if low <= high => ids.range(low.clone()..=high.clone()).next().is_some(),
            _ => !ids.is_empty(),
        }
    }

    /// Whether a row may have this value in the key column at that place.
    pub(crate) fn may_contain(&self, at: usize, value: &str) -> bool {
        match self.key.get(at) {
            Some(Some((low, high))) => (low.as_str()..=high.as_str()).contains(&value),
            _ => true,
        }
    }

    /// Whether rows of both may have the same key.
    pub(crate) fn keys_overlap(&self, other: &Self) -> bool {
        self.key.iter().zip(&other.key).all(|pair| match pair {
            (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
            _ => true,
        })
    }
}
