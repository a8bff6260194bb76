//! Columns: what the service sends under which name, and what is stored.

use arrow_schema::{DataType, TimeUnit};

use crate::choice::ChoiceSet;

/// The logical type of a column; [`Type::data_type`] says how it is stored.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Lower-case 36-character string; an id that is not a valid GUID is kept as it came.
    Guid,
    /// Text, never cut.
    Text,
    /// An integer code; a `<name>_label` column follows it.
    Choice(&'static ChoiceSet),
    /// A GUID of a row in one of these tables.
    Lookup(&'static [&'static str]),
    /// Microseconds, UTC.
    Instant,
    /// A day, without a time or a zone.
    Date,
    /// Signed 32 bits.
    Int32,
    /// Signed 64 bits.
    Int64,
    /// 38 digits, 12 of them after the point.
    Decimal,
    /// True or false.
    Boolean,
    /// The GUID of a File whose bytes are fetched apart, into `payload`.
    File,
}

impl Type {
    /// The Arrow type in which the column is stored.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Guid | Self::Text | Self::Lookup(_) | Self::File => DataType::Utf8,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Choice(_) | Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Decimal => DataType::Decimal128(38, 12),
            Self::Boolean => DataType::Boolean,
        }
    }
}

/// A column as its source has it. Built by `const fn`, so that a table is a `static` value.
#[derive(Debug)]
pub struct Column {
    /// The name in the lake: the logical name.
    pub name: &'static str,
    /// The name of the property in the service's JSON; empty where the value is made from others.
    pub wire: &'static str,
    /// What it holds.
    pub ty: Type,
    /// One sentence for the reader of the lake.
    pub doc: &'static str,
    /// Part of the key, never null: a missing value is the empty string.
    pub required: bool,
    /// Nearly every row has its own value: no dictionary.
    pub unique: bool,
    /// A Bloom filter helps point lookups.
    pub bloom: bool,
    /// Says which run wrote the row: a row that differs in nothing else has not changed.
    pub provenance: bool,
    /// What is read from the JSON object that this text column holds.
    pub json: &'static [JsonColumn],
    /// A text that is no such object is itself the value of the first of `json`.
    pub plain: bool,
    /// The File is the transcript of a chat, decoded into messages.
    pub transcript: bool,
    /// The lookups (user, team) of which the filled one says to which table this owner belongs.
    pub owner: Option<(&'static str, &'static str)>,
}

/// A column read from inside a text column that holds a JSON object.
#[derive(Debug)]
pub struct JsonColumn {
    /// The name in the lake.
    pub name: &'static str,
    /// Property names from the root of the object.
    pub path: &'static [&'static str],
    /// What it holds.
    pub ty: Type,
    /// One sentence for the reader of the lake.
    pub doc: &'static str,
    /// A Bloom filter helps point lookups.
    pub bloom: bool,
}

/// Whether a text has the form of a GUID, as values of [`Type::Guid`] have: 36 characters, no braces. Such a text may
/// stand in a URL without quotes, and is stored in lower case.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl Column {
    /// A column that the wire names as the lake does, without anything that a builder below adds.
    #[must_use]
    pub const fn new(name: &'static str, ty: Type) -> Self {
        Self {
            name,
            wire: name,
            ty,
            doc: "",
            required: false,
            unique: false,
            bloom: false,
            provenance: false,
            json: &[],
            plain: false,
            transcript: false,
            owner: None,
        }
    }

    pub(crate) const fn guid(name: &'static str) -> Self {
        Self::new(name, Type::Guid)
    }

    pub(crate) const fn text(name: &'static str) -> Self {
        Self::new(name, Type::Text)
    }

    pub(crate) const fn choice(name: &'static str, set: &'static ChoiceSet) -> Self {
        Self::new(name, Type::Choice(set))
    }

    pub(crate) const fn lookup(name: &'static str, targets: &'static [&'static str]) -> Self {
        Self::new(name, Type::Lookup(targets))
    }

    pub(crate) const fn instant(name: &'static str) -> Self {
        Self::new(name, Type::Instant).unique()
    }

    pub(crate) const fn date(name: &'static str) -> Self {
        Self::new(name, Type::Date)
    }

    pub(crate) const fn int32(name: &'static str) -> Self {
        Self::new(name, Type::Int32)
    }

    pub(crate) const fn int64(name: &'static str) -> Self {
        Self::new(name, Type::Int64)
    }

    pub(crate) const fn decimal(name: &'static str) -> Self {
        Self::new(name, Type::Decimal)
    }

    pub(crate) const fn boolean(name: &'static str) -> Self {
        Self::new(name, Type::Boolean)
    }

    pub(crate) const fn file(name: &'static str) -> Self {
        Self::new(name, Type::File).unique()
    }

    /// A File that is the transcript of a chat.
    pub(crate) const fn transcript(name: &'static str) -> Self {
        let mut column = Self::file(name);
        column.transcript = true;
        column
    }

    /// A text column that holds a JSON object, from which these columns are read.
    pub(crate) const fn json(name: &'static str, columns: &'static [JsonColumn]) -> Self {
        let mut column = Self::new(name, Type::Text).unique();
        column.json = columns;
        column
    }

    /// A text column that holds plain text, which is the first of these columns, or a JSON object that has them.
    pub(crate) const fn text_or_json(name: &'static str, columns: &'static [JsonColumn]) -> Self {
        let mut column = Self::json(name, columns);
        column.plain = true;
        column
    }

    /// The table to which the lookup of that wire name leads, as the service's annotation tells it.
    pub(crate) const fn target(name: &'static str, annotation: &'static str) -> Self {
        Self::text(name).wire(annotation)
    }

    pub(crate) const fn wire(mut self, name: &'static str) -> Self {
        self.wire = name;
        self
    }

    /// Made from other properties, or from their insides.
    pub(crate) const fn made(self) -> Self {
        self.wire("")
    }

    pub(crate) const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    pub(crate) const fn bloom(mut self) -> Self {
        self.bloom = true;
        self
    }

    pub(crate) const fn provenance(mut self) -> Self {
        self.provenance = true;
        self
    }

    pub(crate) const fn owner(mut self, user: &'static str, team: &'static str) -> Self {
        self.owner = Some((user, team));
        self
    }
}

impl JsonColumn {
    pub(crate) const fn new(name: &'static str, ty: Type, path: &'static [&'static str], doc: &'static str) -> Self {
        Self { name, path, ty, doc, bloom: false }
    }

    pub(crate) const fn bloom(mut self) -> Self {
        self.bloom = true;
        self
    }
}
