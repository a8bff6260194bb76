//! Values of sort and key columns, compared without copying.

use std::cmp::Ordering;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use siphasher::sip128::{Hasher128, SipHasher13};

/// A column of a batch that can be compared.
#[derive(Clone)]
pub(crate) enum Values {
    Text(StringArray),
    Int64(Int64Array),
    Int32(Int32Array),
}

/// A value of such a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value<'a> {
    /// Nulls come first.
    Null,
    Int(i64),
    Text(&'a str),
}

/// A copy of the values that a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedKey(Vec<OwnedValue>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedValue {
    Null,
    Int(i64),
    Text(String),
}

impl Values {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Int64(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast())
            }
            other => return Err(ArrowError::SchemaError(format!("a key of type {other} cannot be compared"))),
        })
    }

    /// The columns of a batch at these positions.
    pub(crate) fn of(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<Self>, ArrowError> {
        columns.iter().map(|&at| Self::new(batch.column(at))).collect()
    }

    pub(crate) fn get(&self, row: usize) -> Value<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => Value::Text(array.value(row)),
            Self::Int64(array) if array.is_valid(row) => Value::Int(array.value(row)),
            Self::Int32(array) if array.is_valid(row) => Value::Int(i64::from(array.value(row))),
            _ => Value::Null,
        }
    }

    /// The integer in that row; the least one for null.
    pub(crate) fn int(&self, row: usize) -> i64 {
        match self.get(row) {
            Value::Int(value) => value,
            _ => i64::MIN,
        }
    }
}

/// Compares two rows column by column.
pub(crate) fn compare(a: &[Values], a_row: usize, b: &[Values], b_row: usize) -> Ordering {
    a.iter().zip(b).map(|(a, b)| a.get(a_row).cmp(&b.get(b_row))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// 128 bits that tell a key from every other.
pub(crate) fn hash(columns: &[Values], row: usize) -> u128 {
    hash_of(|hasher| columns.iter().for_each(|column| column.get(row).hash(hasher)))
}

/// 128 bits of whatever is written.
pub(crate) fn hash_of(write: impl FnOnce(&mut SipHasher13)) -> u128 {
    let mut hasher = SipHasher13::new();
    write(&mut hasher);
    hasher.finish128().into()
}

impl OwnedKey {
    pub(crate) fn new(columns: &[Values], row: usize) -> Self {
        let owned = columns.iter().map(|column| match column.get(row) {
            Value::Null => OwnedValue::Null,
            Value::Int(value) => OwnedValue::Int(value),
            Value::Text(value) => OwnedValue::Text(value.to_owned()),
        });
        Self(owned.collect())
    }

    /// Compares with a row of a batch.
    pub(crate) fn compare(&self, columns: &[Values], row: usize) -> Ordering {
        let own = self.0.iter().map(|value| match value {
            OwnedValue::Null => Value::Null,
            OwnedValue::Int(value) => Value::Int(*value),
            OwnedValue::Text(value) => Value::Text(value),
        });
        own.zip(columns).map(|(own, column)| own.cmp(&column.get(row))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}
