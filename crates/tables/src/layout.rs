//! The stored form of a table: its fields in order, its Arrow schema, its sort order and Parquet settings.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use crate::column::{Column, JsonColumn, Type};
use crate::time::TimeOf;

/// What a layout adds to the columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayoutKind {
    /// Of a service's rows: `deleted_at` and `extra_json`.
    Mirror,
    /// Of a materialized view: neither.
    View,
    /// Of other rows: `extra_json`.
    Other,
}

/// Where the values of a stored field come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// The column's own value.
    Column(&'static Column),
    /// The English label of this choice column's code.
    Label(&'static Column),
    /// The table to which this owner belongs: `systemuser` or `team`.
    OwnerTable(&'static Column),
    /// A property of the JSON object in this text column.
    Json(&'static Column, &'static JsonColumn),
    /// The instant that decided the row's week.
    RowTime,
    /// When the row was read; moves only when the row changes.
    ExtractedAt,
    /// When the row was found to be gone at the service.
    DeletedAt,
    /// The properties that the definition does not know, as a JSON object.
    ExtraJson,
}

/// A stored field.
#[derive(Debug)]
pub struct Field {
    /// Its name: letters, digits, `_`.
    pub name: String,
    /// What it holds.
    pub ty: Type,
    /// One sentence for the reader of the lake.
    pub doc: String,
    /// Where its values come from.
    pub origin: Origin,
    /// Whether values repeat, so that a dictionary pays.
    pub dictionary: bool,
    /// Whether files carry a Bloom filter for it.
    pub bloom: bool,
}

/// Every stored column of a table in order, without the partition column.
#[derive(Debug)]
pub struct Layout {
    fields: Vec<Field>,
    schema: SchemaRef,
    key: Vec<usize>,
    version: Vec<usize>,
    sort: Vec<usize>,
}

impl Layout {
    /// The layout of a table with these columns, of which `key` and `version` name some.
    pub(crate) fn new(
        columns: &'static [Column],
        key: &[&str],
        version: &[&str],
        time: TimeOf,
        kind: LayoutKind,
    ) -> Self {
        let mut fields = Vec::new();
        for column in columns.iter().filter(|column| column.required) {
            push_column(&mut fields, column);
        }
        if time.is_partitioned() {
            let doc = "The instant that decided the row's week; files are sorted by it.";
            push(&mut fields, "row_time", Type::Instant, doc, Origin::RowTime);
        }
        for column in columns.iter().filter(|column| !column.required) {
            push_column(&mut fields, column);
        }
        let doc = match kind {
            LayoutKind::View => "When the row was made, or last came out different.",
            _ => "When this version of the row was read from the service.",
        };
        push(&mut fields, "extracted_at", Type::Instant, doc, Origin::ExtractedAt);
        if kind == LayoutKind::Mirror {
            let doc = "When the row was found to be gone at the service.";
            push(&mut fields, "deleted_at", Type::Instant, doc, Origin::DeletedAt);
        }
        if kind != LayoutKind::View {
            let doc = "Properties that the definition does not know, as a JSON object; null when there are none.";
            push(&mut fields, "extra_json", Type::Text, doc, Origin::ExtraJson);
        }

        let schema = fields.iter().map(|field| {
            let required = matches!(field.origin, Origin::Column(column) if column.required);
            arrow_schema::Field::new(&field.name, field.ty.data_type(), !required)
        });
        let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
        let at = |name: &str| fields.iter().position(|field| field.name == name).unwrap_or(usize::MAX);
        let key: Vec<_> = key.iter().map(|name| at(name)).collect();
        let version = version.iter().map(|name| at(name)).collect();
        let time = match time {
            TimeOf::Unpartitioned(column) => at(column),
            TimeOf::Column(_) | TimeOf::PartitionIdOr(_) | TimeOf::Parent => at("row_time"),
        };
        let sort = std::iter::once(time).chain(key.iter().copied()).collect();
        Self { fields, schema, key, version, sort }
    }

    /// The stored fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The Arrow schema of a file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Positions of the key's fields.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// Positions of the fields that tell the newer of two versions, most significant first.
    pub fn version(&self) -> &[usize] {
        &self.version
    }

    /// Positions of the fields that files are sorted by, ascending: the time, then the key.
    pub fn sort(&self) -> &[usize] {
        &self.sort
    }

    /// The position of the field of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

fn push_column(fields: &mut Vec<Field>, column: &'static Column) {
    for part in column.json {
        fields.push(Field {
            name: part.name.to_owned(),
            ty: part.ty,
            doc: part.doc.to_owned(),
            origin: Origin::Json(column, part),
            dictionary: !matches!(part.ty, Type::Guid),
            bloom: part.bloom,
        });
    }
    fields.push(Field {
        name: column.name.to_owned(),
        ty: column.ty,
        doc: column.doc.to_owned(),
        origin: Origin::Column(column),
        dictionary: !column.unique,
        bloom: column.bloom,
    });
    if matches!(column.ty, Type::Choice(_)) {
        let doc = format!("The English label of `{}`.", column.name);
        push(fields, &format!("{}_label", column.name), Type::Text, &doc, Origin::Label(column));
    }
    if column.owner.is_some() {
        let doc = format!("The table to which `{}` belongs.", column.name);
        push(fields, &format!("{}_table", column.name), Type::Text, &doc, Origin::OwnerTable(column));
    }
}

fn push(fields: &mut Vec<Field>, name: &str, ty: Type, doc: &str, origin: Origin) {
    fields.push(Field {
        name: name.to_owned(),
        ty,
        doc: doc.to_owned(),
        origin,
        dictionary: !matches!(origin, Origin::RowTime | Origin::ExtraJson),
        bloom: false,
    });
}
