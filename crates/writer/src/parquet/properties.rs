//! The writer properties of Parquet files, derived from a table's definition.

use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::file::metadata::{KeyValue, SortingColumn};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use ::parquet::schema::types::ColumnPath;
use arrow::datatypes::Schema;
use copilot_lake_tables::{SCHEMA_VERSION, Table};

/// Maximum rows of a row group.
const ROW_GROUP_ROWS: usize = 1_048_576;

/// Maximum rows of a page.
pub(crate) const PAGE_ROWS: usize = 20_000;

/// The false-positive rate of Bloom filters.
const FALSE_POSITIVE_RATE: f64 = 0.01;

/// The false-positive rate of Bloom filters of key columns. A commit probes them for all its keys: for a thousand keys
/// that a row group does not hold, its filter should mostly match none.
pub(crate) const KEY_FALSE_POSITIVE_RATE: f64 = 1e-4;

/// Maximum bytes of a row group, as encoded.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// The prefix of `created_by` in files of this program; the version follows.
pub(crate) const CREATED_BY: &str = "copilot-lake ";

/// What all Parquet files that stay in a lake have in common.
pub(crate) fn base_properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(format!("{CREATED_BY}{}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
}

/// The properties of a file with that schema. `rows`: row limit of a row group, which Bloom filters are sized for
/// before they are folded to fit. `sorted`: rows come in the table's order, and the file declares it.
pub(crate) fn properties(table: &'static Table, schema: &Schema, rows: usize, sorted: bool) -> WriterProperties {
    let layout = table.layout();
    let rows = rows.clamp(1, ROW_GROUP_ROWS);
    let about = [
        ("copilot_lake.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("copilot_lake.table", table.name.to_owned()),
        ("copilot_lake.schema_version", SCHEMA_VERSION.to_string()),
    ];
    let sorting = layout.sort().iter().filter_map(|&at| {
        let column_idx = i32::try_from(schema.index_of(&layout.fields()[at].name).ok()?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    });
    let mut properties = base_properties()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_size_limit(1 << 20)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(Some(rows))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(sorted.then(|| sorting.collect()))
        .set_key_value_metadata(Some(about.map(|(key, value)| KeyValue::new(key.to_owned(), value)).into()));
    for (at, field) in layout.fields().iter().enumerate() {
        let column = ColumnPath::from(field.name.as_str());
        properties = properties.set_column_dictionary_enabled(column.clone(), field.dictionary);
        if !field.dictionary {
            properties = properties.set_column_encoding(column.clone(), Encoding::PLAIN);
        }
        if field.bloom {
            let false_positives =
                if layout.key().contains(&at) { KEY_FALSE_POSITIVE_RATE } else { FALSE_POSITIVE_RATE };
            properties = properties
                .set_column_bloom_filter_enabled(column.clone(), true)
                .set_column_bloom_filter_fpp(column.clone(), false_positives)
                .set_column_bloom_filter_max_ndv(column, rows as u64);
        }
    }
    properties.build()
}
