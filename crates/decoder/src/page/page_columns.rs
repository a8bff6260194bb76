//! The columns of a page while it is read, and the batches built from them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int32Type;
use copilot_lake_tables::{Column, Instant, Labels, Origin, Table, Type};

use super::decoded::Decoded;
use super::row_misfit::RowMisfit;
use crate::column_builder::{ColumnBuilder, MisfitReason};
use crate::json_columns::JsonMisfit;
use crate::reject::record_key;
use crate::week::{by_week, row_times};
use crate::{Error, Reject};

/// Builders for every column that the service sends.
pub(crate) struct PageColumns {
    pub(crate) wire_columns: Vec<&'static Column>,
    pub(crate) builders: Vec<ColumnBuilder>,
    /// The position of the row's own id.
    pub(crate) id: usize,
    extra: StringBuilder,
}

/// Expected bytes of JSON per row; only initial buffer sizes depend on it.
const ROW_BYTES: usize = 1_100;

impl PageColumns {
    pub(crate) fn new(table: &'static Table, bytes: usize) -> Self {
        let rows = bytes / ROW_BYTES + 1;
        let wire_columns: Vec<_> = table.columns.iter().collect();
        debug_assert!(wire_columns.len() < 128, "the columns of a row are counted in 128 bits");
        let builders = wire_columns.iter().map(|column| ColumnBuilder::new(table, column, rows)).collect();
        let id = wire_columns.iter().position(|column| column.name == table.key[0]).unwrap_or(0);
        Self { wire_columns, builders, id, extra: StringBuilder::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.extra)
    }

    /// Ends a row; columns not seen are null.
    pub(crate) fn finish_row(&mut self, seen: u128, extra: Option<String>) -> Result<(), MisfitReason> {
        let all = (1_u128 << self.builders.len()) - 1;
        let mut missing = all & !seen;
        while missing != 0 {
            let at = missing.trailing_zeros() as usize;
            self.builders[at].append_null()?;
            missing &= missing - 1;
        }
        self.extra.append_option(extra);
        Ok(())
    }

    pub(crate) fn finish(
        mut self,
        table: &'static Table,
        extracted_at: Instant,
        labels: &Labels,
        misfits: Vec<RowMisfit>,
    ) -> Result<Decoded, Error> {
        let rows = self.rows();
        let mut json = Vec::new();
        for (column, builder) in self.wire_columns.iter().zip(&mut self.builders) {
            if let ColumnBuilder::Json(_, columns) = builder {
                let (arrays, misfits) = columns.finish();
                json.push((column.name, arrays, misfits));
            }
        }
        let wire: Vec<ArrayRef> = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let position = |name: &str| self.wire_columns.iter().position(|column| column.name == name);
        let array = |name: &str| position(name).map(|at| wire[at].clone());
        let utc = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;

        let mut unlabelled = false;
        let columns = table.layout().fields().iter().map(|field| match field.origin {
            Origin::Column(column) => array(column.name),
            Origin::Label(column) => array(column.name).map(|codes| {
                let found = label(column, &codes, labels);
                unlabelled |= found.null_count() > codes.null_count();
                found
            }),
            Origin::OwnerTable(column) => {
                column.owner.map(|(user, team)| owner_table(array(user).as_ref(), array(team).as_ref(), rows))
            }
            Origin::Json(column, part) => json
                .iter()
                .find(|(name, ..)| *name == column.name)
                .and_then(|(_, arrays, _)| column.json.iter().position(|c| c.name == part.name).map(|at| &arrays[at]))
                .cloned(),
            Origin::RowTime => Some(utc(row_times(table, array, rows))),
            Origin::ExtractedAt => Some(utc(vec![extracted_at.0; rows])),
            Origin::DeletedAt => None,
            Origin::ExtraJson => Some(Arc::new(self.extra.finish()) as ArrayRef),
        });
        let columns: Vec<ArrayRef> = columns
            .zip(table.layout().fields())
            .map(|(column, field)| column.unwrap_or_else(|| new_null_array(&field.ty.data_type(), rows)))
            .collect();
        let batch = RecordBatch::try_new(table.layout().schema().clone(), columns)
            .map_err(|source| Error::Schema { table: table.name, source })?;

        let json = json.into_iter().flat_map(|(column, _, misfits)| misfits.into_iter().map(move |m| (column, m)));
        let rejects = rejects(table, &batch, misfits, json);
        Ok(Decoded { batches: by_week(table, batch)?, rejects, rows: rows as u64, unlabelled })
    }
}

/// Turns misfits into rejects, with the key of their rows.
fn rejects(
    table: &'static Table,
    batch: &RecordBatch,
    misfits: Vec<RowMisfit>,
    json: impl Iterator<Item = (&'static str, JsonMisfit)>,
) -> Vec<Reject> {
    let mut rejects: Vec<Reject> = misfits
        .into_iter()
        .map(|RowMisfit { row, column, reason, raw }| Reject {
            record_key: record_key(table, batch, row),
            column_name: column,
            reason,
            raw_json: raw,
        })
        .collect();
    for (text_column, misfit) in json {
        let text = batch.column_by_name(text_column).map(|array| array.as_string::<i32>().value(misfit.row));
        rejects.push(Reject {
            record_key: record_key(table, batch, misfit.row),
            column_name: misfit.column.unwrap_or(text_column),
            reason: misfit.reason.to_owned(),
            raw_json: text.unwrap_or_default().to_owned(),
        });
    }
    rejects
}

/// The labels of a choice column's codes: the catalogue's, otherwise the service's.
fn label(column: &Column, codes: &ArrayRef, labels: &Labels) -> ArrayRef {
    let Type::Choice(set) = column.ty else { return new_null_array(&Type::Text.data_type(), codes.len()) };
    let mut builder = StringBuilder::with_capacity(codes.len(), codes.len() * 16);
    for code in codes.as_primitive::<Int32Type>() {
        builder.append_option(code.and_then(|code| set.label(code).or_else(|| labels.label(column.name, code))));
    }
    Arc::new(builder.finish())
}

/// The table of each owner, according to which of the two lookups is set.
fn owner_table(user: Option<&ArrayRef>, team: Option<&ArrayRef>, rows: usize) -> ArrayRef {
    let filled = |array: Option<&ArrayRef>, row| array.is_some_and(|array| array.is_valid(row));
    let tables =
        (0..rows).map(|row| if filled(user, row) { Some("systemuser") } else { filled(team, row).then_some("team") });
    Arc::new(tables.collect::<StringArray>())
}
