//! Columns extracted from a text column that holds a JSON object.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, StringBuilder};
use copilot_lake_tables::{Column, JsonColumn, Type};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::stored_id::append_guid;
use crate::whole_number::whole_number;

/// Builders for the columns of one JSON text column.
pub(crate) struct JsonColumns {
    columns: &'static [JsonColumn],
    /// A text that is not such an object is itself the value of the first column.
    plain: bool,
    builders: Vec<JsonColumnBuilder>,
    /// Which builders have a value for the current row.
    filled: Vec<bool>,
    /// Whether the current object has a property of any column, even a null one.
    found: bool,
    /// Whether it has a name with control characters, which JSON allows only escaped.
    has_controls: bool,
    rows: usize,
    misfits: Vec<JsonMisfit>,
}

/// A text, or a value inside it, that does not fit.
pub(crate) struct JsonMisfit {
    pub(crate) row: usize,
    /// The column; `None` if the text as a whole is not a JSON object.
    pub(crate) column: Option<&'static str>,
    pub(crate) reason: &'static str,
}

enum JsonColumnBuilder {
    Text(StringBuilder),
    Guid(StringBuilder),
    Int32(Int32Builder),
    Boolean(BooleanBuilder),
}

impl JsonColumns {
    pub(crate) fn new(column: &'static Column, rows: usize) -> Self {
        let columns = column.json;
        let builders = columns.iter().map(|column| match column.ty {
            Type::Guid => JsonColumnBuilder::Guid(StringBuilder::with_capacity(rows, rows * 36)),
            Type::Int32 => JsonColumnBuilder::Int32(Int32Builder::with_capacity(rows)),
            Type::Boolean => JsonColumnBuilder::Boolean(BooleanBuilder::with_capacity(rows)),
            _ => JsonColumnBuilder::Text(StringBuilder::with_capacity(rows, rows * 16)),
        });
        let builders = builders.collect::<Vec<_>>();
        let filled = vec![false; builders.len()];
        Self {
            columns,
            plain: column.plain,
            builders,
            filled,
            found: false,
            has_controls: false,
            rows: 0,
            misfits: Vec::new(),
        }
    }

    pub(crate) fn append(&mut self, text: &str) {
        if self.plain {
            self.append_plain(text);
        } else if text != "{}" && self.read(text).is_err() {
            self.discard_row();
            self.misfits.push(JsonMisfit { row: self.rows, column: None, reason: "not a JSON object" });
        }
        self.finish_row();
    }

    /// The text may be prose or an object made for programs: only an object with a known property is the latter.
    fn append_plain(&mut self, text: &str) {
        let has_columns = text.trim_start().starts_with('{') && self.read(text).is_ok() && self.found;
        if !has_columns {
            self.discard_row();
            if let (Some(JsonColumnBuilder::Text(first)), false) = (self.builders.first_mut(), text.is_empty()) {
                first.append_value(text);
                self.filled[0] = true;
            }
        }
    }

    fn read(&mut self, text: &str) -> Result<(), serde_json::Error> {
        (self.found, self.has_controls) = (false, false);
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(PathVisitor { columns: self, path: Path::default() })?;
        json.end()?;
        if self.has_controls {
            // Names are read as bytes, and therefore unchecked.
            serde_json::from_str::<&RawValue>(text)?;
        }
        Ok(())
    }

    pub(crate) fn append_nulls(&mut self) {
        self.finish_row();
    }

    /// Discards what was read of the current row: the text turned out to be something else.
    fn discard_row(&mut self) {
        let row = self.rows;
        for (builder, filled) in self.builders.iter_mut().zip(&mut self.filled) {
            if *filled {
                builder.discard_last(row);
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
            JsonColumnBuilder::Text(builder) | JsonColumnBuilder::Guid(builder) => {
                Arc::new(builder.finish()) as ArrayRef
            }
            JsonColumnBuilder::Int32(builder) => Arc::new(builder.finish()),
            JsonColumnBuilder::Boolean(builder) => Arc::new(builder.finish()),
        });
        (arrays.collect(), std::mem::take(&mut self.misfits))
    }
}

impl JsonColumnBuilder {
    /// Appends a JSON value if it has the column's type.
    fn append(&mut self, raw: &str) -> Option<()> {
        match self {
            Self::Text(builder) => builder.append_value(text(raw)?),
            Self::Guid(builder) => append_guid(builder, &text(raw)?),
            Self::Int32(builder) => builder.append_value(i32::try_from(whole_number(raw)?).ok()?),
            Self::Boolean(builder) => builder.append_value(raw.parse().ok()?),
        }
        Some(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(builder) | Self::Guid(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
        }
    }

    /// Removes the value of the current row; rare, so it may copy.
    fn discard_last(&mut self, rows: usize) {
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

/// The property names from the root to the current object; no column lies deeper.
#[derive(Clone, Copy, Default)]
struct Path {
    names: [&'static str; 2],
    depth: usize,
}

struct PathVisitor<'c> {
    columns: &'c mut JsonColumns,
    path: Path,
}

/// What a property leads to.
enum PathTarget {
    Column(usize),
    Object(&'static str),
    Nothing,
    /// Nothing, and its name has control characters.
    Controls,
}

impl<'de> Visitor<'de> for PathVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Path { names, depth } = self.path;
        while let Some(target) = map.next_key_seed(PathSeed { columns: self.columns.columns, path: &names[..depth] })? {
            match target {
                PathTarget::Nothing => {
                    map.next_value::<IgnoredAny>()?;
                }
                PathTarget::Controls => {
                    self.columns.has_controls = true;
                    map.next_value::<IgnoredAny>()?;
                }
                PathTarget::Column(column) => {
                    self.columns.found = true;
                    map.next_value_seed(LeafSeed { columns: &mut *self.columns, column })?;
                }
                PathTarget::Object(name) => {
                    let mut path = Path { names, depth: depth + 1 };
                    path.names[depth] = name;
                    map.next_value_seed(NestedSeed(PathVisitor { columns: &mut *self.columns, path }))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a property's name and resolves it, without keeping the name.
struct PathSeed<'p> {
    columns: &'static [JsonColumn],
    path: &'p [&'static str],
}

impl<'de> DeserializeSeed<'de> for PathSeed<'_> {
    type Value = PathTarget;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PathTarget, D::Error> {
        // As bytes: an unpaired surrogate in a name must not fail the whole object.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for PathSeed<'_> {
    type Value = PathTarget;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<PathTarget, E> {
        let depth = self.path.len();
        for (at, column) in self.columns.iter().enumerate() {
            if column.path.get(depth).is_some_and(|part| part.as_bytes() == name) && column.path[..depth] == *self.path
            {
                let target = if column.path.len() == depth + 1 {
                    PathTarget::Column(at)
                } else {
                    PathTarget::Object(column.path[depth])
                };
                return Ok(target);
            }
        }
        Ok(if name.iter().any(u8::is_ascii_control) { PathTarget::Controls } else { PathTarget::Nothing })
    }
}

/// An object on the path to a column; any other value there holds no column.
struct NestedSeed<'c>(PathVisitor<'c>);

impl<'de> DeserializeSeed<'de> for NestedSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Ok(());
        }
        serde_json::Deserializer::from_str(raw.get()).deserialize_map(self.0).map_err(D::Error::custom)
    }
}

/// A value that belongs to a column.
struct LeafSeed<'c> {
    columns: &'c mut JsonColumns,
    column: usize,
}

impl<'de> DeserializeSeed<'de> for LeafSeed<'_> {
    type Value = ();

    /// Read as raw text: a misfit concerns this column only.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
        let Self { columns, column } = self;
        if raw.get() == "null" {
            return Ok(());
        }
        if columns.filled[column] {
            return Err(D::Error::custom("a property twice"));
        }
        match columns.builders[column].append(raw.get()) {
            Some(()) => columns.filled[column] = true,
            None => columns.misfit(column, "not of the column's type"),
        }
        Ok(())
    }
}

/// The text of a JSON string; `None` if it is not a string, or has an unpaired surrogate.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}
