//! Rows of one table, assembled value by value.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, Table, Week};

use crate::column_builder::{ColumnBuilder, ColumnValue, append_raw};
use crate::extra_json::{EXTRA_JSON, Extra, RefusedProperties};
use crate::reject::record_key;
use crate::week::by_week;
use crate::{Error, Reject, assemble};

/// A value of a row.
pub(crate) enum Cell<'a> {
    /// The raw JSON value.
    Raw(&'a str),
    Text(String),
    Int(i64),
    Boolean(bool),
    Instant(Instant),
}

/// A row under construction.
pub(crate) struct TableRow<'a> {
    table: &'static Table,
    cells: Vec<Option<Cell<'a>>>,
    extra: Extra<'a>,
    misfits: Vec<ColumnMisfit>,
}

/// A value that does not fit, before its row's key is known.
struct ColumnMisfit {
    column: &'static str,
    reason: String,
    raw: String,
}

impl<'a> TableRow<'a> {
    pub(crate) fn new(table: &'static Table) -> Self {
        let cells = table.columns.iter().map(|_| None).collect();
        Self { table, cells, extra: Extra::default(), misfits: vec![] }
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.table.columns.iter().position(|known| known.name == column)
    }

    pub(crate) fn set(&mut self, column: &str, cell: Cell<'a>) {
        if let Some(at) = self.position(column) {
            self.cells[at] = Some(cell);
        }
    }

    /// Sets a raw value; always `true`.
    pub(crate) fn set_raw(&mut self, column: &str, raw: &'a str) -> bool {
        self.set(column, Cell::Raw(raw));
        true
    }

    /// Sets the column with this wire name, or adds to `extra_json`.
    pub(crate) fn set_property(&mut self, name: &str, raw: &'a str) {
        match self.table.columns.iter().position(|column| !name.is_empty() && column.wire == name) {
            Some(at) => self.cells[at] = Some(Cell::Raw(raw)),
            None => self.add_unknown(name.to_owned(), raw),
        }
    }

    /// Adds a property that the definition does not know; annotations are skipped.
    pub(crate) fn add_unknown(&mut self, path: String, raw: &'a str) {
        self.extra.push(path, raw);
    }

    /// Adds a property whose name contains an unpaired surrogate, escaped as in JSON.
    pub(crate) fn add_broken(&mut self, path: String, raw: &'a str) {
        self.extra.push_broken(path, raw);
    }

    /// Records a value that does not fit a column.
    pub(crate) fn reject(&mut self, column: &'static str, reason: String, raw: &str) {
        self.misfits.push(ColumnMisfit { column, reason, raw: raw.to_owned() });
    }

    /// Fills an empty part of the key; a value there that is not text is a misfit.
    pub(crate) fn fill_key(&mut self, column: &'static str, text: impl FnOnce() -> String) {
        let found = self.text(column);
        if found.as_ref().is_some_and(|text| !text.is_empty()) {
            return;
        }
        let at = self.position(column);
        if let Some(Some(Cell::Raw(raw))) = at.map(|at| &self.cells[at])
            && found.is_none()
            && *raw != "null"
        {
            let (raw, is_text) = ((*raw).to_owned(), raw.starts_with('"'));
            let reason = if is_text { "half a surrogate pair" } else { "not text" };
            self.reject(column, reason.to_owned(), &raw);
        }
        self.set(column, Cell::Text(text()));
    }

    /// Whether the column has usable text.
    pub(crate) fn is_filled(&self, column: &str) -> bool {
        self.text(column).is_some()
    }

    /// The raw value of a column.
    pub(crate) fn raw(&self, column: &str) -> Option<&'a str> {
        match self.cells[self.position(column)?].as_ref()? {
            Cell::Raw(raw) => Some(*raw),
            _ => None,
        }
    }

    /// The text in a column.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        match self.cells[self.position(column)?].as_ref()? {
            Cell::Raw(raw) => serde_json::from_str(raw).ok()?,
            Cell::Text(text) => Some(text.clone()),
            Cell::Int(_) | Cell::Boolean(_) | Cell::Instant(_) => None,
        }
    }

    /// The instant in a column.
    pub(crate) fn instant(&self, column: &str) -> Option<Instant> {
        Instant::parse(&self.text(column)?)
    }
}

/// Batches by week, and rejects.
pub(crate) type TableBatches = (Vec<(Week, RecordBatch)>, Vec<Reject>);

/// The rows of one table.
pub(crate) struct TableRows {
    pub(crate) table: &'static Table,
    builders: Vec<ColumnBuilder>,
    extra: StringBuilder,
    row_time: Vec<i64>,
    /// Misfits by row number.
    misfits: Vec<(usize, ColumnMisfit)>,
}

impl TableRows {
    pub(crate) fn new(table: &'static Table) -> Self {
        let builders = table.columns.iter().map(|column| ColumnBuilder::new(table, column, 100)).collect();
        Self { table, builders, extra: StringBuilder::new(), row_time: vec![], misfits: vec![] }
    }

    pub(crate) fn append(&mut self, row: TableRow<'_>, row_time: Instant) {
        let at = self.row_time.len();
        self.misfits.extend(row.misfits.into_iter().map(|misfit| (at, misfit)));
        for ((column, builder), cell) in self.table.columns.iter().zip(&mut self.builders).zip(row.cells) {
            let appended = match &cell {
                None => builder.append_null(),
                Some(Cell::Raw(raw)) => append_raw(builder, raw),
                Some(Cell::Text(text)) => builder.append(&ColumnValue::Text(text)),
                Some(Cell::Int(value)) => builder.append(&ColumnValue::Int(*value)),
                Some(Cell::Boolean(value)) => builder.append(&ColumnValue::Boolean(*value)),
                Some(Cell::Instant(instant)) => builder.append(&ColumnValue::Instant(*instant)),
            };
            if let Err(reason) = appended {
                if let Some(Cell::Raw(raw)) = cell {
                    let misfit = ColumnMisfit { column: column.name, reason: reason.to_owned(), raw: raw.to_owned() };
                    self.misfits.push((at, misfit));
                }
                let appended = builder.append_null();
                debug_assert!(appended.is_ok(), "the key is given");
            }
        }
        let (extra, refused) = row.extra.finish();
        if let Some(RefusedProperties { reason, raw }) = refused {
            self.misfits.push((at, ColumnMisfit { column: EXTRA_JSON, reason: reason.to_owned(), raw }));
        }
        self.extra.append_option(extra);
        self.row_time.push(row_time.0);
    }

    /// Number of values that did not fit.
    pub(crate) fn misfits(&self) -> usize {
        self.misfits.len()
    }

    pub(crate) fn finish(mut self, extracted_at: Instant) -> Result<TableBatches, Error> {
        let rows = self.row_time.len();
        let utc = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
        let columns = self.table.columns.iter().zip(&mut self.builders);
        let mut named: Vec<_> = columns.map(|(column, builder)| (column.name, builder.finish())).collect();
        if self.table.is_partitioned() {
            named.push(("row_time", utc(self.row_time)));
        }
        named.push(("extracted_at", utc(vec![extracted_at.0; rows])));
        named.push(("extra_json", Arc::new(self.extra.finish())));
        let batch = assemble(self.table, named)?;
        let rejects = self.misfits.into_iter().map(|(row, ColumnMisfit { column, reason, raw })| Reject {
            record_key: record_key(self.table, &batch, row),
            column_name: column,
            reason,
            raw_json: raw,
        });
        let rejects = rejects.collect();
        Ok((by_week(self.table, batch)?, rejects))
    }
}
