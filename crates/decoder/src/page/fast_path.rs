//! The fast path: each value goes straight into the builder of its column.
//!
//! Anything unexpected (a value of another type, a repeated property, an unpaired surrogate, a row without its id)
//! fails the fast path; [`super::slow_path`] then reads the page again from the start.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::page_columns::PageColumns;
use super::wire_names::WireNames;
use crate::column_builder::{ColumnBuilder, ColumnValue, MisfitReason};
use crate::extra_json::Extra;

/// Reads the array of rows.
pub(crate) struct RowsVisitor<'c> {
    pub(crate) columns: &'c mut PageColumns,
    pub(crate) names: &'c mut WireNames,
}

impl<'de> Visitor<'de> for RowsVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(RowSeed { columns: &mut *self.columns, names: &mut *self.names })?.is_some() {}
        Ok(())
    }
}

struct RowSeed<'c> {
    columns: &'c mut PageColumns,
    names: &'c mut WireNames,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { columns, names } = self;
        let mut seen = 0_u128;
        let mut extra = Extra::default();
        // Slots: a column's position, that of the annotation, and one more for the start of a row.
        let annotation = names.wires.len() - 1;
        let mut slot = names.wires.len();
        while let Some(property) = map.next_key_seed(NameSeed { names, guess: names.next_slot[slot] })? {
            match property {
                WireProperty::Column(at) => {
                    if seen & (1 << at) != 0 {
                        return Err(A::Error::custom("a property twice"));
                    }
                    seen |= 1 << at;
                    map.next_value_seed(ValueSeed(&mut columns.builders[at]))?;
                    names.next_slot[slot] = at;
                    slot = at;
                }
                WireProperty::Annotation => {
                    map.next_value::<IgnoredAny>()?;
                    names.next_slot[slot] = annotation;
                    slot = annotation;
                }
                WireProperty::Unknown(name) => {
                    let raw: &'de RawValue = map.next_value()?;
                    extra.push(name, raw.get());
                }
            }
        }
        let (extra, refused) = extra.finish();
        if let Some(refused) = refused {
            return Err(A::Error::custom(refused.reason));
        }
        columns.finish_row(seen, extra).map_err(A::Error::custom)
    }
}

enum WireProperty {
    Column(usize),
    /// An annotation: not data.
    Annotation,
    Unknown(String),
}

struct NameSeed<'n> {
    names: &'n WireNames,
    guess: usize,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = WireProperty;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<WireProperty, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = WireProperty;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E>(self, name: &str) -> Result<WireProperty, E> {
        if self.names.wires[self.guess] == name {
            return Ok(if self.guess + 1 == self.names.wires.len() {
                WireProperty::Annotation
            } else {
                WireProperty::Column(self.guess)
            });
        }
        Ok(match self.names.column(name) {
            Some(at) => WireProperty::Column(at),
            None if name.contains('@') => WireProperty::Annotation,
            None => WireProperty::Unknown(name.to_owned()),
        })
    }
}

/// Appends the next value to a builder, whatever its type.
struct ValueSeed<'b>(&'b mut ColumnBuilder);

impl ValueSeed<'_> {
    fn append<E: serde::de::Error>(self, value: &ColumnValue<'_>) -> Result<(), E> {
        self.0.append(value).map_err(|misfit: MisfitReason| E::custom(misfit))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if matches!(self.0, ColumnBuilder::Decimal(_)) {
            // As text: a float would lose digits.
            let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
            let value = if raw.get() == "null" { ColumnValue::Null } else { ColumnValue::Decimal(raw.get()) };
            return self.append(&value);
        }
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.append(&ColumnValue::Null)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.append(&ColumnValue::Text(text))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.append(&ColumnValue::Boolean(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.append(&ColumnValue::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.append(&ColumnValue::Int(i64::try_from(value).map_err(|_| E::custom("above 64 bits"))?))
    }
}
