//! Digests of rows, to tell whether two rows with equal versions differ in a value.

use std::hash::Hasher;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use copilot_lake_tables::{Field, Origin, Table};

use crate::error::Error;
use crate::keys;
use crate::parquet::row_selection::projected;

/// The digest of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RowDigest {
    /// 128 bits of all values, except of those that say when and by which run the row was read.
    pub(crate) digest: u128,
    pub(crate) extracted_at: i64,
}

/// Makes digests of rows.
pub(crate) struct RowDigestReader {
    table: &'static Table,
    /// The columns that are read.
    pub(crate) schema: SchemaRef,
    /// How many of the columns, from the first, go into the digest.
    deciding: usize,
    converter: RowConverter,
}

impl RowDigestReader {
    pub(crate) fn new(table: &'static Table) -> Result<Self, Error> {
        let decides = |field: &Field| match field.origin {
            Origin::ExtractedAt => false,
            Origin::Column(column) => !column.provenance,
            _ => true,
        };
        let fields = table.layout().fields().iter().enumerate();
        let mut columns: Vec<usize> = fields.filter(|(_, field)| decides(field)).map(|(at, _)| at).collect();
        let deciding = columns.len();
        columns.extend(table.layout().position("extracted_at"));
        let schema = projected(table, &columns);
        let sort = schema.fields().iter().take(deciding).map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(sort.collect()).map_err(Error::rows(table.name))?;
        Ok(Self { table, schema, deciding, converter })
    }

    /// The digests of rows that have at least the columns of the schema.
    pub(crate) fn read(&self, batch: &RecordBatch) -> Result<Vec<RowDigest>, Error> {
        let error = Error::rows(self.table.name);
        let columns = self.schema.fields().iter().map(|field| batch.schema().index_of(field.name()));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(&error)?;
        let batch = batch.project(&columns).map_err(&error)?;
        let rows = self.converter.convert_columns(&batch.columns()[..self.deciding]).map_err(&error)?;
        let times = batch.columns()[self.deciding].as_primitive::<TimestampMicrosecondType>().values();
        let values = rows.iter().zip(times).map(|(row, extracted_at)| RowDigest {
            digest: keys::hash_of(|hasher| hasher.write(row.data())),
            extracted_at: *extracted_at,
        });
        Ok(values.collect())
    }
}
