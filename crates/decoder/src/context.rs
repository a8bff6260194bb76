//! Columns read from inside a text column that holds a JSON object.

use std::fmt;

use arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, StringBuilder};
use copilot_lake_tables::{Column, JsonColumn, Type};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::sync::Arc;

use crate::columns::append_guid;

/// Builders for the columns of one JSON text column.
pub(crate) struct JsonColumns {
    columns: &'static [JsonColumn],
    /// A text that is no such object is itself the value of the first column.
    plain: bool,
    builders: Vec<Builder>,
    /// Which builders the row at hand has filled.
    filled: Vec<bool>,
    /// Whether the object at hand has a property of any column, a null among them.
    found: bool,
    rows: usize,
    misfits: Vec<JsonMisfit>,
}

/// A text or a value inside it that did not fit.
pub(crate) struct JsonMisfit {
    pub(crate) row: usize,
    /// The column, or none when the text as a whole is not a JSON object.
    pub(crate) column: Option<&'static str>,
    pub(crate) reason: &'static str,
}

enum Builder {
    Text(StringBuilder),
    Guid(StringBuilder),
    Int32(Int32Builder),
    Boolean(BooleanBuilder),
}

impl JsonColumns {
    pub(crate) fn new(column: &'static Column, rows: usize) -> Self {
        let columns = column.json;
        let builders = columns.iter().map(|column| match column.ty {
            Type::Guid => Builder::Guid(StringBuilder::with_capacity(rows, rows * 36)),
            Type::Int32 => Builder::Int32(Int32Builder::with_capacity(rows)),
            Type::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(rows)),
            _ => Builder::Text(StringBuilder::with_capacity(rows, rows * 16)),
        });
        let builders = builders.collect::<Vec<_>>();
        let filled = vec![false; builders.len()];
        Self { columns, plain: column.plain, builders, filled, found: false, rows: 0, misfits: Vec::new() }
    }

    pub(crate) fn append(&mut self, text: &str) {
        if self.plain {
            self.append_plain(text);
        } else if text != "{}" && self.read(text).is_err() {
            self.take_back_row();
            self.misfits.push(JsonMisfit { row: self.rows, column: None, reason: "not a JSON object" });
        }
        self.finish_row();
    }

    /// A person's words, or an object made for programs: only an object with a known property is the latter.
    fn append_plain(&mut self, text: &str) {
        let has_columns = text.trim_start().starts_with('{') && self.read(text).is_ok() && self.found;
        if !has_columns {
            self.take_back_row();
            if let (Some(Builder::Text(first)), false) = (self.builders.first_mut(), text.is_empty()) {
                first.append_value(text);
                self.filled[0] = true;
            }
        }
    }

    fn read(&mut self, text: &str) -> Result<(), serde_json::Error> {
        self.found = false;
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(ObjectVisitor { into: self, path: Path::default() })?;
        json.end()
    }

    pub(crate) fn append_nulls(&mut self) {
        self.finish_row();
    }

    /// The text is not what it seemed: whatever was read of it does not count.
    fn take_back_row(&mut self) {
        let row = self.rows;
        for (builder, filled) in self.builders.iter_mut().zip(&mut self.filled) {
            if *filled {
                builder.drop_last(row);
                *filled = false;
            }
        }
        while self.misfits.last().is_some_and(|misfit| misfit.row == row) {
            self.misfits.pop();
        }
    }

    fn finish_row(&mut self) {
        for (builder, filled) in self.builders.iter_mut().zip(&mut self.filled) {
            if !std::mem::take(filled) {
                builder.append_null();
            }
        }
        self.rows += 1;
    }

    fn misfit(&mut self, column: usize, reason: &'static str) {
        let column = Some(self.columns[column].name);
        self.misfits.push(JsonMisfit { row: self.rows, column, reason });
    }

    pub(crate) fn finish(&mut self) -> (Vec<ArrayRef>, Vec<JsonMisfit>) {
        self.rows = 0;
        let arrays = self.builders.iter_mut().map(|builder| match builder {
            Builder::Text(builder) | Builder::Guid(builder) => Arc::new(builder.finish()) as ArrayRef,
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Boolean(builder) => Arc::new(builder.finish()),
        });
        (arrays.collect(), std::mem::take(&mut self.misfits))
    }
}

impl Builder {
    fn append_null(&mut self) {
        match self {
            Self::Text(builder) | Self::Guid(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
        }
    }

    /// Takes back the value of the row at hand; rare, so it may copy.
    fn drop_last(&mut self, rows: usize) {
        match self {
            Self::Text(builder) | Self::Guid(builder) => {
                let kept = builder.finish();
                for value in kept.iter().take(rows) {
                    builder.append_option(value);
                }
            }
            Self::Int32(builder) => {
                let kept = builder.finish();
                for value in kept.iter().take(rows) {
                    builder.append_option(value);
                }
            }
            Self::Boolean(builder) => {
                let kept = builder.finish();
                for value in kept.iter().take(rows) {
                    builder.append_option(value);
                }
            }
        }
    }
}

/// The property names from the root to the object at hand; deeper than this no column is read.
#[derive(Clone, Copy, Default)]
struct Path {
    names: [&'static str; 2],
    depth: usize,
}

struct ObjectVisitor<'c> {
    into: &'c mut JsonColumns,
    path: Path,
}

/// What a property leads to.
enum Target {
    Column(usize),
    Object(&'static str),
    Nothing,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Path { names, depth } = self.path;
        while let Some(target) = map.next_key_seed(Name { columns: self.into.columns, path: &names[..depth] })? {
            match target {
                Target::Nothing => {
                    map.next_value::<IgnoredAny>()?;
                }
                Target::Column(column) => {
                    self.into.found = true;
                    map.next_value_seed(Leaf { into: &mut *self.into, column })?;
                }
                Target::Object(name) => {
                    let mut path = Path { names, depth: depth + 1 };
                    path.names[depth] = name;
                    map.next_value_seed(Nested(ObjectVisitor { into: &mut *self.into, path }))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a property's name as what it leads to, without keeping the name.
struct Name<'p> {
    columns: &'static [JsonColumn],
    path: &'p [&'static str],
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Target;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Target, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Target, E> {
        let depth = self.path.len();
        for (at, column) in self.columns.iter().enumerate() {
            if column.path.get(depth).is_some_and(|part| *part == name) && column.path[..depth] == *self.path {
                let target = if column.path.len() == depth + 1 {
                    Target::Column(at)
                } else {
                    Target::Object(column.path[depth])
                };
                return Ok(target);
            }
        }
        Ok(Target::Nothing)
    }
}

/// An object on the way to a column; anything else there holds no column.
struct Nested<'c>(ObjectVisitor<'c>);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A value that belongs to a column.
struct Leaf<'c> {
    into: &'c mut JsonColumns,
    column: usize,
}

impl Leaf<'_> {
    /// Fills the column through `fill`, which says whether the value has its type.
    fn fill<E: serde::de::Error>(self, fill: impl FnOnce(&mut Builder) -> bool) -> Result<(), E> {
        if self.into.filled[self.column] {
            return Err(E::custom("a property twice"));
        }
        if fill(&mut self.into.builders[self.column]) {
            self.into.filled[self.column] = true;
        } else {
            self.into.misfit(self.column, "not of the column's type");
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Leaf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.fill(|builder| {
            match builder {
                Builder::Text(builder) => builder.append_value(text),
                Builder::Guid(builder) => append_guid(builder, text),
                Builder::Int32(_) | Builder::Boolean(_) => return false,
            }
            true
        })
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.fill(|builder| {
            let Builder::Boolean(builder) = builder else { return false };
            builder.append_value(value);
            true
        })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.fill(|builder| {
            let (Builder::Int32(builder), Ok(value)) = (builder, i32::try_from(value)) else { return false };
            builder.append_value(value);
            true
        })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.fill(|_| false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.fill(|_| false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.fill(|_| false)
    }
}
