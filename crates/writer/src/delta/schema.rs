//! A table's definition in Delta's terms: protocol, schema, configuration.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use copilot_lake_tables::{Field, SCHEMA_VERSION, Table, WEEK_START};
use deltalake::kernel::{Metadata, Protocol, StructType};
use serde_json::{Value, json};

use crate::delta::instance::Instance;
use crate::error::Error;

/// The configuration keys of a table.
pub(crate) const ORGANIZATION: &str = "copilotLake.organization";
pub(crate) const TENANT: &str = "copilotLake.tenant";
pub(crate) const VERSION: &str = "copilotLake.schemaVersion";
/// The prefix of notes.
pub(crate) const NOTE_PREFIX: &str = "copilotLake.note.";

/// Leading columns that the log keeps statistics of, unless a table's configuration says otherwise.
const INDEXED_COLUMNS: usize = 32;

/// Reader 1, writer 2, without features: every engine can read that.
pub(crate) fn protocol(table: &Table) -> Result<Protocol, Error> {
    from_json(table, json!({ "minReaderVersion": 1, "minWriterVersion": 2 }))
}

/// Why this program must not write a table with that protocol; `None`: it may.
///
/// # Errors
/// [`Error::UnknownFeatures`] when it must not read the table either.
pub(crate) fn unwritable_reason(table: &'static Table, protocol: &Protocol) -> Result<Option<String>, Error> {
    let said = serde_json::to_value(protocol).map_err(|e| corrupt(table, &e))?;
    let features = |key: &str| -> Vec<String> {
        let features = said[key].as_array().into_iter().flatten();
        features.filter_map(|feature| Some(feature.as_str()?.to_owned())).collect()
    };
    let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
    let (readers, writers) = (features("readerFeatures"), features("writerFeatures"));
    match reader {
        ..=1 => {}
        2 => return Err(Error::UnknownFeatures { table: table.name, features: vec!["columnMapping".to_owned()] }),
        // From version 3 on, features are listed one by one.
        3 if readers.is_empty() => {}
        3 => return Err(Error::UnknownFeatures { table: table.name, features: readers }),
        _ => {
            let features = vec![format!("reader version {reader}")];
            return Err(Error::UnknownFeatures { table: table.name, features });
        }
    }
    if writer <= 2 && reader <= 1 {
        return Ok(None);
    }
    let listed = if writers.is_empty() { String::new() } else { format!(" ({})", writers.join(", ")) };
    Ok(Some(format!("it demands writer version {writer}{listed}, and this program writes 2")))
}

/// Why a table with that metadata is somebody else's, who named it as a view of this program's; `None`: it is not. Rows of
/// a view that are not among those that it answers are removed: nobody else's may be taken for them. Every table of a view
/// says its version, unlike tables that early versions made.
pub(crate) fn foreign_reason(table: &Table, metadata: &Metadata) -> Option<String> {
    let is_foreign = table.view_of().is_some() && !metadata.configuration().contains_key(VERSION);
    is_foreign.then(|| format!("it is somebody else's table, without the property `{VERSION}`, and stays as it is"))
}

/// The metadata of a new table.
pub(crate) fn metadata(
    table: &'static Table,
    id: &str,
    instance: &Instance,
    notes: impl IntoIterator<Item = (String, String)>,
) -> Result<Metadata, Error> {
    let mut configuration = HashMap::from([(VERSION.to_owned(), SCHEMA_VERSION.to_string())]);
    configuration.extend(notes.into_iter().map(|(name, text)| (format!("{NOTE_PREFIX}{name}"), text)));
    if let Some(id) = &instance.organization {
        configuration.insert(ORGANIZATION.to_owned(), id.clone());
    }
    if let Some(id) = &instance.tenant {
        configuration.insert(TENANT.to_owned(), id.clone());
    }
    let partition_columns = partition_columns(table);
    let schema = json!({ "type": "struct", "fields": fields(table) });
    from_json(
        table,
        json!({
            "id": id,
            "name": table.name,
            "description": table.doc,
            "format": { "provider": "parquet", "options": {} },
            "schemaString": schema.to_string(),
            "partitionColumns": partition_columns,
            "configuration": configuration,
            "createdTime": crate::clock::now_millis(),
        }),
    )
}

/// The metadata with missing columns of the definition added and the configuration replaced; `None` when nothing
/// changes.
///
/// Columns that the definition does not have, or has with another comment, are left alone.
pub(crate) fn changed(
    table: &'static Table,
    old: &Metadata,
    configuration: &HashMap<String, String>,
) -> Result<Option<Metadata>, Error> {
    let mut value = serde_json::to_value(old).map_err(|e| corrupt(table, &e))?;
    if value["partitionColumns"] != json!(partition_columns(table)) {
        let reason = format!("it is partitioned by {}", value["partitionColumns"]);
        return Err(Error::RaisedProtocol { table: table.name, reason });
    }
    let text = value["schemaString"].as_str().unwrap_or_default();
    let mut schema: Value = serde_json::from_str(text).map_err(|e| corrupt(table, &e))?;
    let Some(present) = schema["fields"].as_array_mut() else {
        return Err(Error::RaisedProtocol { table: table.name, reason: "its schema has no fields".to_owned() });
    };
    let mut added = false;
    for field in fields(table) {
        match present.iter().find(|old| old["name"] == field["name"]) {
            Some(old) if old["type"] == field["type"] => {}
            Some(old) => {
                let reason = format!("column {} has type {}, not {}", field["name"], old["type"], field["type"]);
                return Err(Error::RaisedProtocol { table: table.name, reason });
            }
            None => {
                added = true;
                // Old rows lack it.
                let mut field = field;
                field["nullable"] = json!(true);
                present.push(field);
            }
        }
    }
    if !added && old.configuration() == configuration {
        return Ok(None);
    }
    value["schemaString"] = json!(schema.to_string());
    value["configuration"] = json!(configuration);
    from_json(table, value).map(Some)
}

fn partition_columns(table: &Table) -> &'static [&'static str] {
    if table.is_partitioned() { &[WEEK_START] } else { &[] }
}

/// Names of the columns that the log keeps statistics of, by that metadata: the first 32, unless the table's
/// configuration says otherwise.
pub(crate) fn indexed(table: &'static Table, metadata: &Metadata) -> Result<Vec<String>, Error> {
    let configuration = metadata.configuration();
    if let Some(names) = configuration.get("delta.dataSkippingStatsColumns") {
        return Ok(names.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect());
    }
    let columns = configuration.get("delta.dataSkippingNumIndexedCols").and_then(|text| text.parse::<i64>().ok());
    // -1: all.
    let columns = columns.map_or(INDEXED_COLUMNS, |columns| usize::try_from(columns).unwrap_or(usize::MAX));
    let schema = delta_schema(table, metadata)?;
    let names = schema.fields().map(|field| field.name());
    Ok(names.filter(|name| *name != WEEK_START).take(columns).cloned().collect())
}

/// As [`indexed`], for a table that does not exist yet.
pub(crate) fn default_indexed(table: &'static Table) -> Vec<String> {
    table.layout().fields().iter().take(INDEXED_COLUMNS).map(|field| field.name.clone()).collect()
}

/// The schema version of a table; version 1 was not always written down.
pub(crate) fn version(metadata: &Metadata) -> u32 {
    metadata.configuration().get(VERSION).and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The fields of the Delta schema, in order; the partition column last.
fn fields(table: &'static Table) -> Vec<Value> {
    let schema = table.layout().schema();
    let field = |(field, arrow): (&Field, &std::sync::Arc<arrow::datatypes::Field>)| {
        json!({
            "name": field.name,
            "type": delta_type(arrow.data_type()),
            "nullable": arrow.is_nullable(),
            "metadata": { "comment": field.doc },
        })
    };
    let mut fields: Vec<Value> = table.layout().fields().iter().zip(schema.fields()).map(field).collect();
    if table.is_partitioned() {
        let doc = "The Sunday on which the row's week begins.";
        fields.push(json!({ "name": WEEK_START, "type": "date", "nullable": true, "metadata": { "comment": doc } }));
    }
    fields
}

fn delta_type(ty: &DataType) -> String {
    match ty {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(digits, scale) => format!("decimal({digits},{scale})"),
        _ => "string".to_owned(),
    }
}

/// The schema in that metadata.
pub(crate) fn delta_schema(table: &'static Table, metadata: &Metadata) -> Result<StructType, Error> {
    metadata.parse_schema().map_err(|source| Error::log(table.name)(source.into()))
}

fn from_json<T: serde::de::DeserializeOwned>(table: &Table, value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|e| corrupt(table, &e))
}

fn corrupt(table: &Table, reason: &serde_json::Error) -> Error {
    Error::RaisedProtocol { table: table.name, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::PAYLOAD;

    use super::*;

    #[test]
    fn readers_and_writers_are_refused_for_what_concerns_them() {
        let of = |protocol: Value| match unwritable_reason(&PAYLOAD, &from_json(&PAYLOAD, protocol).unwrap()) {
            Ok(None) => "read and write".to_owned(),
            Ok(Some(reason)) => reason,
            Err(error) => error.to_string(),
        };
        assert_eq!(of(json!({ "minReaderVersion": 1, "minWriterVersion": 2 })), "read and write");
        assert_eq!(
            of(json!({ "minReaderVersion": 1, "minWriterVersion": 3 })),
            "it demands writer version 3, and this program writes 2"
        );
        let features = json!({ "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["checkConstraints"] });
        assert_eq!(of(features), "it demands writer version 7 (checkConstraints), and this program writes 2");
        let vectors = json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
            "writerFeatures": ["deletionVectors"] });
        assert!(of(vectors).ends_with("readers must support deletionVectors"));
        let mapping = json!({ "minReaderVersion": 2, "minWriterVersion": 5 });
        assert!(of(mapping).ends_with("readers must support columnMapping"));
    }
}
