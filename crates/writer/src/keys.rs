//! Values of sort and key columns, compared and hashed in place.

use std::cmp::Ordering;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use siphasher::sip128::{Hasher128, SipHasher13};

/// A sort or key column of a batch.
#[derive(Clone)]
pub(crate) enum KeyColumn {
    Text(StringArray),
    Int64(Int64Array),
    Int32(Int32Array),
}

/// A value of a [`KeyColumn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyScalar<'a> {
    /// Nulls come first.
    Null,
    Int(i64),
    Text(&'a str),
}

/// A copy of a row's sort key, which outlives its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedKey(Vec<OwnedScalar>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedScalar {
    Null,
    Int(i64),
    Text(String),
}

impl KeyColumn {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().clone()),
            DataType::Date32 => Self::Int32(array.as_primitive::<Date32Type>().reinterpret_cast()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Int64(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast())
            }
            other => return Err(ArrowError::SchemaError(format!("a key of type {other} cannot be compared"))),
        })
    }

    /// The columns at these positions of a batch.
    pub(crate) fn from_batch(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<Self>, ArrowError> {
        columns.iter().map(|&at| Self::new(batch.column(at))).collect()
    }

    pub(crate) fn get(&self, row: usize) -> KeyScalar<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => KeyScalar::Text(array.value(row)),
            Self::Int64(array) if array.is_valid(row) => KeyScalar::Int(array.value(row)),
            Self::Int32(array) if array.is_valid(row) => KeyScalar::Int(i64::from(array.value(row))),
            _ => KeyScalar::Null,
        }
    }

    /// The integer in a row; [`i64::MIN`] for null.
    pub(crate) fn int(&self, row: usize) -> i64 {
        match self.get(row) {
            KeyScalar::Int(value) => value,
            _ => i64::MIN,
        }
    }
}

/// Compares two rows column by column.
pub(crate) fn compare(a: &[KeyColumn], a_row: usize, b: &[KeyColumn], b_row: usize) -> Ordering {
    a.iter().zip(b).map(|(a, b)| a.get(a_row).cmp(&b.get(b_row))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// The hash of a key, which identifies it: no two keys of a lake are expected to share 128 bits.
pub(crate) fn hash(columns: &[KeyColumn], row: usize) -> u128 {
    hash_of(|hasher| columns.iter().for_each(|column| column.get(row).hash(hasher)))
}

/// The hash of a key of one text.
pub(crate) fn hash_of_text(text: &str) -> u128 {
    hash_of(|hasher| KeyScalar::Text(text).hash(hasher))
}

/// The hash of what is written to the hasher.
pub(crate) fn hash_of(write: impl FnOnce(&mut SipHasher13)) -> u128 {
    let mut hasher = SipHasher13::new();
    write(&mut hasher);
    hasher.finish128().into()
}

impl OwnedKey {
    pub(crate) fn new(columns: &[KeyColumn], row: usize) -> Self {
        let owned = columns.iter().map(|column| match column.get(row) {
            KeyScalar::Null => OwnedScalar::Null,
            KeyScalar::Int(value) => OwnedScalar::Int(value),
            KeyScalar::Text(value) => OwnedScalar::Text(value.to_owned()),
        });
        Self(owned.collect())
    }

    /// Compares with a row of a batch.
    pub(crate) fn compare(&self, columns: &[KeyColumn], row: usize) -> Ordering {
        let own = self.0.iter().map(|value| match value {
            OwnedScalar::Null => KeyScalar::Null,
            OwnedScalar::Int(value) => KeyScalar::Int(*value),
            OwnedScalar::Text(value) => KeyScalar::Text(value),
        });
        own.zip(columns).map(|(own, column)| own.cmp(&column.get(row))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}
