//! Randomly generated pages, and the expected values.

use std::collections::BTreeMap;

use copilot_lake_tables::{AI_INTERACTION, Instant, Table, Type};
use serde_json::Value;
use serde_json::value::RawValue;

use copilot_lake_tables::INTERACTION_CHILDREN;

use crate::interaction::interactions::CHILDREN;
use crate::tests::interactions::CARD;
use crate::tests::oracle::Random;

/// What a value becomes: null, a text, or a misfit.
pub(super) type Want = Result<Option<String>, ()>;

/// What a row becomes.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Columns that are not null.
    pub(super) columns: BTreeMap<&'static str, String>,
    /// Column and raw text of what does not fit.
    pub(super) rejects: Vec<(&'static str, String)>,
    /// What the definition does not know.
    pub(super) extra: Members,
    /// Values whose names hold half a surrogate pair.
    pub(super) broken: Vec<String>,
    pub(super) children: [Vec<Row>; 4],
}

impl Row {
    pub(super) fn want(&mut self, column: &'static str, raw: &str, want: Want) {
        match want {
            Ok(Some(text)) => drop(self.columns.insert(column, text)),
            Ok(None) => {}
            Err(()) => self.rejects.push((column, raw.to_owned())),
        }
    }

    pub(super) fn unknown(&mut self, name: String, raw: &str) {
        if !name.contains('@') {
            // Of a name that comes twice the last value counts.
            self.extra.retain(|(before, _)| *before != name);
            self.extra.push((name, raw.to_owned()));
        }
    }

    /// What is to be in `extra_json`, and what is to be refused: what serde_json does not read, and what is nested too deep.
    pub(super) fn extra(&self) -> [Members; 2] {
        let is_whole = |raw: &str| {
            let inside = format!("{}{raw}{}", "[".repeat(27), "]".repeat(27));
            serde_json::from_str::<Value>(&inside).is_ok()
        };
        let mut parts = [Members::new(), Members::new()];
        for (name, raw) in &self.extra {
            parts[usize::from(!is_whole(raw))].push((name.clone(), raw.clone()));
        }
        parts[1].extend(self.broken.iter().map(|raw| ("\u{fffd}".to_owned(), raw.clone())));
        parts.iter_mut().for_each(|part| part.sort());
        parts
    }

    /// Takes the properties that the definition does not know, in the order in which they come.
    pub(super) fn strangers(&mut self, members: &Members) {
        for (name, raw) in members.iter().filter(|(name, _)| STRANGERS.contains(&name.as_str())) {
            self.unknown(name.clone(), raw);
        }
    }
}

/// Properties of an object, in order.
pub(super) type Members = Vec<(String, String)>;

/// Names that no table knows.
const STRANGERS: [&str; 6] = ["newThing", "x.y", "\u{fc}nknown \"q\"", "", "a@odata.type", "@odata.etag"];

pub(super) const WRONG: [&str; 14] = [
    "5",
    "-0",
    "1e999",
    "123456789012345678901234567890",
    "3.5",
    "true",
    "false",
    "[]",
    "{}",
    "[1, [2, {}]]",
    r#"{"a": {"b": [null]}}"#,
    r#""a\ud800b""#,
    r#""\udc00""#,
    r#""\ud83d\ud83d""#,
];
pub(super) const WORDS: [&str; 16] = [
    "",
    " ",
    "userPrompt",
    "unknownFutureValue",
    "IPM.SkypeTeams.Message.Copilot.BizChat",
    "IPM.SkypeTeams.Message.ConnectedAIApp.Entra.x",
    "7336770C-FB25-48AC-8303-4493AD11ED71",
    "7336770C-FB25-48AC-8303-4493AD11ED7",
    "19:a@thread.v2",
    "\u{0}\u{1}\u{7f}\u{85}",
    "\u{fdd0}0\u{fdd1}",
    "\u{feff}e\u{301}\u{202e}\u{200d}",
    "\u{10ffff}\u{1f642}",
    "\"\\/\n\r\t",
    "null",
    "2025-06-22T00:00:00Z",
];
pub(super) const HTML: [&str; 26] = [
    "<p>",
    "</p>",
    "<table>",
    "</table>",
    "<tr>",
    "<td colspan=2>",
    "</td>",
    "<td rowspan=\"0\">",
    "<ul>",
    "<li>",
    "</ul>",
    "<b>",
    "</b>",
    "<br/>",
    "<h1>",
    "</h1>",
    "<!-- ",
    "-->",
    "&amp;",
    "&#0;",
    "<img alt='x' src=\"data:image/png;base64,AA\">",
    "<",
    "<attachment id=\"a\"></attachment>",
    "&lt;attachment id=\"b\"&gt;&lt;/attachment&gt;",
    "<attachment id=\"",
    "</attachment>",
];

impl Random {
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    /// A text as a JSON string, some of its characters escaped.
    pub(super) fn quoted(&mut self, text: &str) -> String {
        if !self.chance(10) {
            return Value::from(text).to_string();
        }
        text.encode_utf16().fold("\"".to_owned(), |quoted, unit| quoted + &format!("\\u{unit:04x}")) + "\""
    }

    pub(super) fn words(&mut self) -> String {
        match self.below(8) {
            0 => self.text(),
            _ => self.one(&WORDS).to_owned(),
        }
    }

    /// A value for a column of that type, and what it becomes.
    pub(super) fn value(&mut self, ty: Type) -> (String, Want) {
        if self.chance(8) {
            let nested = 20 + self.below(400);
            let deep = "[".repeat(nested) + &"]".repeat(nested);
            let raw = if self.chance(90) { self.one(&WRONG).to_owned() } else { deep };
            let want = oracle(&raw, ty);
            return (raw, want);
        }
        if self.chance(8) {
            return ("null".to_owned(), Ok(None));
        }
        let raw = match ty {
            Type::Instant => return self.date(),
            Type::Int32 => {
                self.one(&["0", "-1", "7.0", "2e3", "2147483647", "2147483648", "-2147483649", "0.5"]).to_owned()
            }
            Type::Boolean => self.one(&["true", "false", "0", "\"true\""]).to_owned(),
            _ => {
                let words = self.words();
                self.quoted(&words)
            }
        };
        let want = oracle(&raw, ty);
        (raw, want)
    }

    pub(super) fn date(&mut self) -> (String, Want) {
        const BAD: [&str; 8] = [
            "soon",
            "",
            "2025-02-30T00:00:00Z",
            "2025-01-01T00:00:00",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00.0123456789Z",
            "1731701801008",
            "2025-01-01T00:00:00+25:00",
        ];
        if self.chance(10) {
            return (Value::from(self.one(&BAD)).to_string(), Err(()));
        }
        let seconds = 1_700_000_000 + self.below(40_000_000) as i64;
        let (offset, shown) =
            [(0, "Z"), (0, "+00:00"), (19_800, "+05:30"), (-28_800, "-08:00"), (3_600, "+0100")][self.below(5)];
        let local = Instant::from_seconds(seconds + offset).to_string();
        let digits: String = (0..self.below(8)).map(|_| char::from(b'0' + self.below(10) as u8)).collect();
        let micros: i64 = format!("{digits:0<6}")[..6].parse().unwrap();
        let fraction = if digits.is_empty() { String::new() } else { format!(".{digits}") };
        let text = format!("{}{fraction}{shown}", local.trim_end_matches('Z'));
        (self.quoted(&text), Ok(Some(Instant(seconds * 1_000_000 + micros).to_string())))
    }

    /// The text of an object: properties in any order, some of them twice, names escaped at times.
    pub(super) fn object(&mut self, members: &[(String, String)]) -> String {
        let mut text = "{".to_owned();
        for (at, (name, raw)) in members.iter().enumerate() {
            let (space, name) = (self.one(&["", " ", "\r\n\t"]), self.quoted(name));
            text += &format!("{}{space}{name}{space}:{space}{raw}{space}", if at > 0 { "," } else { "" });
        }
        text + "}"
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    /// Puts a value that does not count before some properties of these names.
    pub(super) fn repeat(&mut self, members: &mut Members, names: &[&str]) {
        for at in (0..members.len()).rev() {
            if names.contains(&members[at].0.as_str()) && self.chance(3) {
                let (name, raw) = (members[at].0.clone(), self.one(&WRONG).to_owned());
                members.insert(self.below(at + 1), (name, raw));
            }
        }
    }

    pub(super) fn strangers(&mut self, members: &mut Members) {
        while self.chance(20) {
            let (name, raw) = (self.one(&STRANGERS).to_owned(), self.value(Type::Text).0);
            members.push((name, raw));
        }
    }

    /// The columns of a table under their names on the wire.
    pub(super) fn columns(&mut self, table: &'static Table, row: &mut Row, members: &mut Members) -> Vec<&'static str> {
        let mut names = Vec::new();
        for column in table.columns.iter().filter(|column| !column.wire.is_empty()) {
            names.push(column.wire);
            if self.chance(90) {
                let (raw, want) = self.value(column.ty);
                row.want(column.name, &raw, want);
                members.push((column.wire.to_owned(), raw));
            }
        }
        names
    }

    /// `from` or `mentioned`.
    pub(super) fn identities(&mut self, row: &mut Row, set: &str, columns: [&'static str; 3]) -> String {
        let [kind_column, id, display_name] = columns;
        let mut members: Members = Vec::new();
        let mut kinds = ["user", "application", "device", "conversation", "tag", "phone", "@odata.type"];
        self.shuffle(&mut kinds);
        for kind in &kinds[..self.below(5)] {
            let is_free = !row.columns.contains_key(kind_column);
            if self.chance(40) {
                members.push(((*kind).to_owned(), "null".to_owned()));
                if *kind == "phone" {
                    row.unknown(format!("{set}.phone"), "null");
                }
            } else if *kind == "phone" || *kind == "@odata.type" || !is_free {
                let raw = self.value(Type::Text).0;
                // A null says that nobody is there.
                if raw != "null" || *kind == "phone" {
                    row.unknown(format!("{set}.{kind}"), &raw);
                }
                members.push(((*kind).to_owned(), raw));
            } else if self.chance(20) {
                let (raw, want) = self.value(Type::Text);
                if raw != "null" {
                    row.columns.insert(kind_column, (*kind).to_owned());
                    let column = if raw.starts_with('"') { display_name } else { id };
                    // An object that is empty says nothing; any other one is known by its name alone.
                    match raw.as_str() {
                        "{}" => {}
                        raw if raw.starts_with('{') => row.unknown(format!("{set}.{kind}.a"), r#"{"b": [null]}"#),
                        raw => row.want(column, raw, want),
                    }
                }
                members.push(((*kind).to_owned(), raw));
            } else {
                row.columns.insert(kind_column, (*kind).to_owned());
                let raw = self.identity(row, set, kind, [id, display_name]);
                members.push(((*kind).to_owned(), raw));
            }
        }
        self.object(&members)
    }

    pub(super) fn identity(&mut self, row: &mut Row, set: &str, kind: &str, columns: [&'static str; 2]) -> String {
        let (mut members, identity_type): (Members, _) = (Vec::new(), format!("{kind}IdentityType"));
        let names = ["id", "displayName", "tenantId", identity_type.as_str(), "botIdentityType", "a@odata.type", "odd"];
        for name in names.iter().filter(|_| self.chance(60)).collect::<Vec<_>>() {
            let (raw, want) = self.value(Type::Text);
            match (*name, set) {
                ("id", _) => row.want(columns[0], &raw, want),
                ("displayName", _) => row.want(columns[1], &raw, want),
                ("tenantId", "from") => row.want("from_tenant_id", &raw, want),
                (name, "from") if name == identity_type => row.want("from_identity_type", &raw, want),
                (name, _) => row.unknown(format!("{set}.{kind}.{name}"), &raw),
            }
            members.push(((*name).to_owned(), raw));
        }
        self.object(&members)
    }

    pub(super) fn body(&mut self, row: &mut Row) -> String {
        let mut members: Members = Vec::new();
        if self.chance(90) {
            let (raw, want) = match self.below(3) {
                0 => self.value(Type::Text),
                1 => ("\"text\"".to_owned(), Ok(Some("text".to_owned()))),
                _ => ("\"HTML\"".to_owned(), Ok(Some("HTML".to_owned()))),
            };
            row.want("body_content_type", &raw, want);
            members.push(("contentType".to_owned(), raw));
        }
        if self.chance(90) {
            let (raw, want) = if self.chance(30) {
                self.value(Type::Text)
            } else {
                let content: String = (0..self.below(6)).map(|_| self.one(&HTML).to_owned() + &self.words()).collect();
                (self.quoted(&content), Ok(Some(content)))
            };
            row.want("body_content", &raw, want);
            members.push(("content".to_owned(), raw));
        }
        if self.chance(10) {
            let raw = self.value(Type::Text).0;
            row.unknown("body.new".to_owned(), &raw);
            members.push(("new".to_owned(), raw));
        }
        self.object(&members)
    }

    /// What an attachment holds: cards, whole, cut and nested too deep.
    pub(super) fn card(&mut self) -> String {
        let words = self.words();
        let block = format!(
            r#"{{"type":"TextBlock","id":{},"text":{}}}"#,
            self.one(&["null", "\"MessageTextField\""]),
            self.quoted(&words)
        );
        let depth = [0, 1, 60, 500][self.below(4)];
        let body = r#"{"items":["#.repeat(depth) + &block + &"]}".repeat(depth);
        let card = format!(r#"{{"type":"AdaptiveCard","body":[{body},{block},{}]}}"#, self.one(&WRONG));
        let cut = if self.chance(20) { self.below(card.len()) } else { card.len() };
        (0..=cut).rev().find_map(|cut| card.get(..cut)).unwrap_or_default().to_owned()
    }

    pub(super) fn element(&mut self, table: &'static Table) -> (String, Row) {
        let mut row = Row::default();
        if self.chance(5) {
            let raw = self.one(&["null", "5", "\"x\"", "[]", r#"{"\ud800":1}"#]).to_owned();
            if raw.starts_with('{') {
                row.broken.push("1".to_owned());
            } else {
                row.rejects.push(("", raw.clone()));
            }
            return (raw, row);
        }
        let mut members: Members = Vec::new();
        let names = self.columns(table, &mut row, &mut members);
        if table.name.ends_with("attachment") && self.chance(60) {
            members.retain(|(name, _)| !matches!(name.as_str(), "attachmentId" | "contentType" | "content"));
            row.rejects.retain(|(column, _)| !matches!(*column, "attachment_id" | "content_type" | "content"));
            let card = self.card();
            for (name, column, text) in [
                ("attachmentId", "attachment_id", self.one(&["a", "b", ""])),
                ("contentType", "content_type", CARD),
                ("content", "content", card.as_str()),
            ] {
                // A card may come as the object itself.
                let is_object = name == "content" && self.chance(30) && serde_json::from_str::<&RawValue>(text).is_ok();
                members.push((name.to_owned(), if is_object { text.to_owned() } else { self.quoted(text) }));
                row.columns.insert(column, text.to_owned());
            }
        }
        if table.name.ends_with("mention") && self.chance(80) {
            let raw =
                self.identities(&mut row, "mentioned", ["mentioned_kind", "mentioned_id", "mentioned_display_name"]);
            members.push(("mentioned".to_owned(), raw));
        }
        self.strangers(&mut members);
        self.shuffle(&mut members);
        row.strangers(&members);
        self.repeat(&mut members, &names);
        (self.object(&members), row)
    }

    pub(super) fn interaction(&mut self) -> (String, Row) {
        let mut row = Row::default();
        if self.chance(2) {
            let raw = self.one(&["null", "5", "\"x\"", "[]", r#"{"\ud800":1,"id":"x"}"#]).to_owned();
            if raw.starts_with('{') {
                row.broken.push("1".to_owned());
                row.columns.insert("interaction_id", "x".to_owned());
            } else {
                row.rejects.push(("", raw.clone()));
            }
            return (raw, row);
        }
        let mut members: Members = Vec::new();
        let names = self.columns(&AI_INTERACTION, &mut row, &mut members);
        for (name, column) in [("from", "from_kind"), ("body", "body_content")] {
            let raw = match self.below(20) {
                0 => continue,
                1 => "null".to_owned(),
                2 => {
                    let raw = self.one(&["5", "\"x\"", "[{}]", "true"]).to_owned();
                    row.rejects.push((column, raw.clone()));
                    raw
                }
                _ if name == "body" => self.body(&mut row),
                _ => self.identities(&mut row, "from", ["from_kind", "from_id", "from_display_name"]),
            };
            members.push((name.to_owned(), raw));
        }
        for (at, ((name, count), table)) in CHILDREN.into_iter().zip(INTERACTION_CHILDREN).enumerate() {
            let raw = match self.below(20) {
                0 => continue,
                1 => "null".to_owned(),
                2 => {
                    let raw = self.one(&["5", "\"x\"", "{}", r#"{"0": {}}"#, "false"]).to_owned();
                    row.rejects.push((count, raw.clone()));
                    raw
                }
                _ => {
                    let (raw, rows): (Vec<_>, Vec<_>) = (0..self.below(4)).map(|_| self.element(table)).unzip();
                    row.columns.insert(count, rows.len().to_string());
                    row.children[at] = rows;
                    format!("[{}]", raw.join(" ,\n"))
                }
            };
            members.push((name.to_owned(), raw));
        }
        self.strangers(&mut members);
        self.shuffle(&mut members);
        row.strangers(&members);
        let names: Vec<_> =
            names.into_iter().chain(["from", "body", "attachments", "contexts", "links", "mentions"]).collect();
        self.repeat(&mut members, &names);
        (self.object(&members), row)
    }
}

/// What serde_json's own values say: an instant is no such value.
pub(super) fn oracle(raw: &str, ty: Type) -> Want {
    match (ty, serde_json::from_str(raw).map_err(drop)?) {
        (_, Value::Null) => Ok(None),
        (Type::Text, Value::String(text)) => Ok(Some(text)),
        (Type::Guid, Value::String(text)) => {
            let is_guid = text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
            let is_guid = is_guid && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
            Ok(Some(if is_guid { text.to_lowercase() } else { text }))
        }
        (Type::Boolean, Value::Bool(value)) => Ok(Some(value.to_string())),
        (Type::Int32, Value::Number(number)) => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0).ok_or(())?;
            let is_small = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
            is_small.then(|| Some((number as i32).to_string())).ok_or(())
        }
        _ => Err(()),
    }
}
