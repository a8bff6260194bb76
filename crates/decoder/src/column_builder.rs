//! Arrow builders for the columns that a service sends.

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use copilot_lake_tables::{Column, Instant, Table, Type};

use crate::decimal;
use crate::json_columns::JsonColumns;
use crate::stored_id::append_guid;
use crate::whole_number::whole_number;

/// What a null becomes in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullValue {
    /// A null.
    Null,
    /// A missing part of the key: the empty string.
    Empty,
    /// The row's own id: a row without one gets an id from its raw text.
    Id,
}

/// The builder of one column.
pub(crate) enum ColumnBuilder {
    Text(StringBuilder, NullValue),
    Guid(StringBuilder, NullValue),
    Json(StringBuilder, JsonColumns),
    Instant(TimestampMicrosecondBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Boolean(BooleanBuilder),
}

/// A value, in the form its column needs.
#[derive(Debug)]
pub(crate) enum ColumnValue<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    Boolean(bool),
    Decimal(&'a str),
    Instant(Instant),
}

/// Why a value does not fit its column.
pub(crate) type MisfitReason = &'static str;

impl ColumnBuilder {
    pub(crate) fn new(table: &Table, column: &'static Column, rows: usize) -> Self {
        let null = match table.key.iter().position(|name| *name == column.name) {
            Some(0) => NullValue::Id,
            Some(_) => NullValue::Empty,
            None => NullValue::Null,
        };
        let text = |width: usize| StringBuilder::with_capacity(rows, rows * width);
        match column.ty {
            Type::Text if !column.json.is_empty() => Self::Json(text(256), JsonColumns::new(column, rows)),
            Type::Text => Self::Text(text(24), null),
            Type::Guid | Type::Lookup(_) | Type::File => Self::Guid(text(36), null),
            Type::Instant => {
                Self::Instant(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(column.ty.data_type()))
            }
            Type::Choice(_) | Type::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            Type::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            Type::Decimal => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(column.ty.data_type()))
            }
            Type::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            Type::Date => unreachable!("no service sends dates"),
        }
    }

    /// Appends a value; after a misfit nothing was appended.
    pub(crate) fn append(&mut self, value: &ColumnValue<'_>) -> Result<(), MisfitReason> {
        match (&mut *self, value) {
            (_, ColumnValue::Null) => return self.append_null(),
            (Self::Text(builder, _), ColumnValue::Text(text)) => builder.append_value(text),
            (Self::Guid(builder, _), ColumnValue::Text(text)) => append_guid(builder, text),
            (Self::Json(builder, columns), ColumnValue::Text(text)) => {
                builder.append_value(text);
                columns.append(text);
            }
            (Self::Instant(builder), ColumnValue::Text(text)) => {
                builder.append_value(Instant::parse(text).ok_or("not an instant")?.0);
            }
            (Self::Instant(builder), ColumnValue::Instant(instant)) => builder.append_value(instant.0),
            (Self::Int32(builder), ColumnValue::Int(n)) => {
                builder.append_value(i32::try_from(*n).map_err(|_| "above 32 bits")?);
            }
            (Self::Int64(builder), ColumnValue::Int(n)) => builder.append_value(*n),
            (Self::Boolean(builder), ColumnValue::Boolean(value)) => builder.append_value(*value),
            (Self::Decimal(builder), ColumnValue::Decimal(digits)) => {
                builder.append_value(decimal::parse(digits).ok_or("not a decimal")?);
            }
            _ => return Err(self.expected()),
        }
        Ok(())
    }

    /// Appends a null, or its stand-in in a key; an error for the row's own id.
    pub(crate) fn append_null(&mut self) -> Result<(), MisfitReason> {
        match self {
            Self::Text(_, NullValue::Id) | Self::Guid(_, NullValue::Id) => return Err("the row has no id"),
            Self::Text(builder, NullValue::Empty) | Self::Guid(builder, NullValue::Empty) => builder.append_value(""),
            Self::Text(builder, NullValue::Null) | Self::Guid(builder, NullValue::Null) => builder.append_null(),
            Self::Json(builder, columns) => {
                builder.append_null();
                columns.append_nulls();
            }
            Self::Instant(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
        }
        Ok(())
    }

    /// Appends a generated id where the service gave none.
    pub(crate) fn append_generated_id(&mut self, id: &str) {
        if let Self::Text(builder, _) | Self::Guid(builder, _) = self {
            builder.append_value(id);
        }
    }

    /// The expected type, as a misfit's reason.
    fn expected(&self) -> MisfitReason {
        match self {
            Self::Text(..) | Self::Guid(..) | Self::Json(..) => "not text",
            Self::Instant(_) => "not an instant",
            Self::Int32(_) | Self::Int64(_) => "not a whole number",
            Self::Decimal(_) => "not a decimal",
            Self::Boolean(_) => "not true or false",
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder, _) | Self::Guid(builder, _) | Self::Json(builder, _) => {
                std::sync::Arc::new(builder.finish())
            }
            Self::Instant(builder) => std::sync::Arc::new(builder.finish()),
            Self::Int32(builder) => std::sync::Arc::new(builder.finish()),
            Self::Int64(builder) => std::sync::Arc::new(builder.finish()),
            Self::Decimal(builder) => std::sync::Arc::new(builder.finish()),
            Self::Boolean(builder) => std::sync::Arc::new(builder.finish()),
        }
    }
}

/// Appends a JSON value from its raw text.
pub(crate) fn append_raw(builder: &mut ColumnBuilder, raw: &str) -> Result<(), MisfitReason> {
    let first = raw.as_bytes().first().copied().unwrap_or(b' ');
    if matches!(builder, ColumnBuilder::Decimal(_)) && (first == b'-' || first.is_ascii_digit()) {
        return builder.append(&ColumnValue::Decimal(raw));
    }
    match first {
        b'n' => builder.append(&ColumnValue::Null),
        b't' => builder.append(&ColumnValue::Boolean(true)),
        b'f' => builder.append(&ColumnValue::Boolean(false)),
        b'"' => {
            let text: String = serde_json::from_str(raw).map_err(|_| "half a surrogate pair")?;
            builder.append(&ColumnValue::Text(&text))
        }
        // A JSON column may be sent as the object itself.
        b'{' if matches!(builder, ColumnBuilder::Json(..)) => builder.append(&ColumnValue::Text(raw)),
        b'{' | b'[' => Err("a nested value"),
        _ => match whole_number(raw) {
            Some(value) => builder.append(&ColumnValue::Int(value)),
            None => Err("not a whole number of 64 bits"),
        },
    }
}
