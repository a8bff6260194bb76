//! Columns extracted from a text column that holds a JSON object.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, StringBuilder};
use copilot_lake_tables::{Column, JsonColumn, Type};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json_cursor::JsonCursor;
use crate::stored_id::append_guid;
use crate::whole_number::whole_number;

/// Builders for the columns of one JSON text column.
pub(crate) struct JsonColumns {
    columns: &'static [JsonColumn],
    /// A text that is not such an object is itself the value of the first column.
    plain: bool,
    builders: Vec<JsonColumnBuilder>,
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

/// What one text has for the columns. None of it reaches a builder before the whole text was read: it may turn out to be
/// something else.
struct ObjectValues<'t> {
    columns: &'static [JsonColumn],
    values: Vec<Option<JsonColumnValue<'t>>>,
    /// The columns with a value that does not fit, each once however often its property comes: the whole text is kept for
    /// each.
    misfits: Vec<usize>,
    /// Whether there is a property of any column, even a null one.
    found: bool,
    /// Whether there is a name with control characters, which JSON allows only escaped.
    has_controls: bool,
}

enum JsonColumnValue<'t> {
    Text(Cow<'t, str>),
    Int32(i32),
    Boolean(bool),
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
        Self { columns, plain: column.plain, builders: builders.collect(), rows: 0, misfits: Vec::new() }
    }

    pub(crate) fn append(&mut self, text: &str) {
        if self.plain {
            self.append_plain(text);
        } else if text == "{}" {
            self.append_nulls();
        } else if let Ok(object) = ObjectValues::read(self.columns, text) {
            self.append_object(object);
        } else {
            self.misfits.push(JsonMisfit { row: self.rows, column: None, reason: "not a JSON object" });
            self.append_nulls();
        }
    }

    /// The text may be prose or an object made for programs: only an object with a known property is the latter.
    fn append_plain(&mut self, text: &str) {
        let object = text.trim_start().starts_with('{').then(|| ObjectValues::read(self.columns, text).ok()).flatten();
        if let Some(object) = object.filter(|object| object.found) {
            return self.append_object(object);
        }
        let mut object = ObjectValues::new(self.columns);
        if let (Some(first), false) = (object.values.first_mut(), text.is_empty()) {
            *first = Some(JsonColumnValue::Text(Cow::Borrowed(text)));
        }
        self.append_object(object);
    }

    pub(crate) fn append_nulls(&mut self) {
        for builder in &mut self.builders {
            builder.append(None);
        }
        self.rows += 1;
    }

    fn append_object(&mut self, object: ObjectValues<'_>) {
        for (builder, value) in self.builders.iter_mut().zip(object.values) {
            builder.append(value);
        }
        for column in object.misfits {
            let column = Some(self.columns[column].name);
            self.misfits.push(JsonMisfit { row: self.rows, column, reason: "not of the column's type" });
        }
        self.rows += 1;
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
    /// Appends a value of the column's type, or a null.
    fn append(&mut self, value: Option<JsonColumnValue<'_>>) {
        match (self, value) {
            (Self::Text(builder), Some(JsonColumnValue::Text(text))) => builder.append_value(text),
            (Self::Guid(builder), Some(JsonColumnValue::Text(text))) => append_guid(builder, &text),
            (Self::Int32(builder), Some(JsonColumnValue::Int32(value))) => builder.append_value(value),
            (Self::Boolean(builder), Some(JsonColumnValue::Boolean(value))) => builder.append_value(value),
            (Self::Text(builder) | Self::Guid(builder), _) => builder.append_null(),
            (Self::Int32(builder), _) => builder.append_null(),
            (Self::Boolean(builder), _) => builder.append_null(),
        }
    }
}

impl<'t> JsonColumnValue<'t> {
    /// The value, if it has the column's type.
    fn read(ty: Type, raw: &'t str) -> Option<Self> {
        Some(match ty {
            Type::Int32 => Self::Int32(i32::try_from(whole_number(raw)?).ok()?),
            Type::Boolean => Self::Boolean(raw.parse().ok()?),
            _ => Self::Text(text(raw)?),
        })
    }
}

impl<'t> ObjectValues<'t> {
    fn new(columns: &'static [JsonColumn]) -> Self {
        let values = columns.iter().map(|_| None).collect();
        Self { columns, values, misfits: Vec::new(), found: false, has_controls: false }
    }

    fn read(columns: &'static [JsonColumn], text: &'t str) -> Result<Self, serde_json::Error> {
        let (mut object, mut json) = (Self::new(columns), JsonCursor::new(text));
        if object.read_object(&mut json, Path::default()).is_some() && json.is_at_end() {
            return Ok(object);
        }
        // Anything unusual, such as an escaped name.
        object = Self::new(columns);
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(PathVisitor { object: &mut object, path: Path::default() })?;
        json.end()?;
        if object.has_controls {
            // Names are read as bytes, and therefore unchecked.
            serde_json::from_str::<&RawValue>(text)?;
        }
        Ok(object)
    }

    /// Reads an object whose names have neither escapes nor control characters; `None` for any other text.
    fn read_object(&mut self, json: &mut JsonCursor<'t>, path: Path) -> Option<()> {
        let Path { names, depth } = path;
        json.take(b'{')?;
        if json.peek() == b'}' {
            return json.take(b'}');
        }
        loop {
            match target(self.columns, &names[..depth], json.name()?.as_bytes()) {
                PathTarget::Column(column) => self.put(column, json.raw_value()?).ok()?,
                PathTarget::Object(name) if json.peek() == b'{' => {
                    let mut path = Path { names, depth: depth + 1 };
                    path.names[depth] = name;
                    self.read_object(json, path)?;
                }
                PathTarget::Object(_) | PathTarget::Nothing | PathTarget::Controls => json.skip_value()?,
            }
            match json.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads the value of a column's property; fails if it has one already.
    fn put(&mut self, column: usize, raw: &'t str) -> Result<(), &'static str> {
        self.found = true;
        if raw == "null" {
            return Ok(());
        }
        if self.values[column].is_some() {
            return Err("a property twice");
        }
        self.values[column] = JsonColumnValue::read(self.columns[column].ty, raw);
        if self.values[column].is_none() && !self.misfits.contains(&column) {
            self.misfits.push(column);
        }
        Ok(())
    }
}

/// The property names from the root to the current object; no column lies deeper.
#[derive(Clone, Copy, Default)]
struct Path {
    names: [&'static str; 2],
    depth: usize,
}

struct PathVisitor<'o, 't> {
    object: &'o mut ObjectValues<'t>,
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

impl<'de> Visitor<'de> for PathVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { object, path: Path { names, depth } } = self;
        while let Some(target) = map.next_key_seed(PathSeed { columns: object.columns, path: &names[..depth] })? {
            match target {
                PathTarget::Nothing => {
                    map.next_value::<IgnoredAny>()?;
                }
                PathTarget::Controls => {
                    object.has_controls = true;
                    map.next_value::<IgnoredAny>()?;
                }
                PathTarget::Column(column) => {
                    // Read as raw text: a misfit concerns this column only.
                    let raw: &'de RawValue = map.next_value()?;
                    object.put(column, raw.get()).map_err(A::Error::custom)?;
                }
                PathTarget::Object(name) => {
                    // Any other value on the path to a column holds none.
                    let raw: &'de RawValue = map.next_value()?;
                    if raw.get().starts_with('{') {
                        let mut path = Path { names, depth: depth + 1 };
                        path.names[depth] = name;
                        let nested = PathVisitor { object: &mut *object, path };
                        serde_json::Deserializer::from_str(raw.get())
                            .deserialize_map(nested)
                            .map_err(A::Error::custom)?;
                    }
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
        Ok(target(self.columns, self.path, name))
    }
}

/// What a property of the object at that path leads to.
fn target(columns: &[JsonColumn], path: &[&'static str], name: &[u8]) -> PathTarget {
    let depth = path.len();
    for (at, column) in columns.iter().enumerate() {
        if column.path.get(depth).is_some_and(|part| part.as_bytes() == name) && column.path[..depth] == *path {
            let is_last = column.path.len() == depth + 1;
            return if is_last { PathTarget::Column(at) } else { PathTarget::Object(column.path[depth]) };
        }
    }
    if name.iter().any(u8::is_ascii_control) { PathTarget::Controls } else { PathTarget::Nothing }
}

/// The text of a JSON string; `None` if it is not a string, or has an unpaired surrogate.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}
