//! Random pages: whatever comes, each row lands once, what fits comes out equal, and what does not is kept as it came.

use std::collections::BTreeMap;

use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant, Table, Type, Week};
use rayon::prelude::*;
use serde_json::Value;

use super::interactions::CARD;
use super::oracle::Random;
use super::{is_soak, of_batch};
use crate::careful::Properties;
use crate::interaction::CHILDREN;
use crate::{COPILOT_PLAN_ID, Reject, decode_interactions, decode_users};

const USER: &str = "4db02e4b-d144-400e-b194-53253a34c5be";
const NOW: Instant = Instant::from_seconds(1_762_300_000);

/// What a value becomes: null, a text, or a misfit.
type Want = Result<Option<String>, ()>;

/// What a row becomes.
#[derive(Debug, Default)]
struct Row {
    /// Columns that are not null.
    columns: BTreeMap<&'static str, String>,
    /// Column and raw text of what does not fit.
    rejects: Vec<(&'static str, String)>,
    /// What the definition does not know.
    extra: Vec<(String, String)>,
    children: [Vec<Row>; 4],
}

impl Row {
    fn want(&mut self, column: &'static str, raw: &str, want: Want) {
        match want {
            Ok(Some(text)) => drop(self.columns.insert(column, text)),
            Ok(None) => {}
            Err(()) => self.rejects.push((column, raw.to_owned())),
        }
    }

    fn unknown(&mut self, name: String, raw: &str) {
        if !name.contains('@') {
            self.extra.push((name, raw.to_owned()));
        }
    }
}

/// Properties of an object, in order.
type Members = Vec<(String, String)>;

const WRONG: [&str; 14] = [
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
const WORDS: [&str; 16] = [
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
const HTML: [&str; 26] = [
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
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    /// A text as a JSON string, some of its characters escaped.
    fn quoted(&mut self, text: &str) -> String {
        if !self.chance(10) {
            return Value::from(text).to_string();
        }
        text.encode_utf16().fold("\"".to_owned(), |quoted, unit| quoted + &format!("\\u{unit:04x}")) + "\""
    }

    fn words(&mut self) -> String {
        match self.below(8) {
            0 => self.text(),
            _ => self.one(&WORDS).to_owned(),
        }
    }

    /// A value for a column of that type, and what it becomes.
    fn value(&mut self, ty: Type) -> (String, Want) {
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

    fn date(&mut self) -> (String, Want) {
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
    fn object(&mut self, members: &[(String, String)]) -> String {
        let mut text = "{".to_owned();
        for (at, (name, raw)) in members.iter().enumerate() {
            let (space, name) = (self.one(&["", " ", "\r\n\t"]), self.quoted(name));
            text += &format!("{}{space}{name}{space}:{space}{raw}{space}", if at > 0 { "," } else { "" });
        }
        text + "}"
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    /// Puts a value that does not count before some properties of these names.
    fn repeat(&mut self, members: &mut Members, names: &[&str]) {
        for at in (0..members.len()).rev() {
            if names.contains(&members[at].0.as_str()) && self.chance(3) {
                let (name, raw) = (members[at].0.clone(), self.one(&WRONG).to_owned());
                members.insert(self.below(at + 1), (name, raw));
            }
        }
    }

    fn strangers(&mut self, members: &mut Members) {
        const NAMES: [&str; 6] = ["newThing", "x.y", "ünknown \"q\"", "", "a@odata.type", "@odata.etag"];
        while self.chance(20) {
            let (name, raw) = (self.one(&NAMES).to_owned(), self.value(Type::Text).0);
            members.push((name, raw));
        }
    }

    /// The columns of a table under their names on the wire.
    fn columns(&mut self, table: &'static Table, row: &mut Row, members: &mut Members) -> Vec<&'static str> {
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
    fn identities(&mut self, row: &mut Row, set: &str, columns: [&'static str; 3]) -> String {
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

    fn identity(&mut self, row: &mut Row, set: &str, kind: &str, columns: [&'static str; 2]) -> String {
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

    fn body(&mut self, row: &mut Row) -> String {
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
    fn card(&mut self) -> String {
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

    fn element(&mut self, table: &'static Table) -> (String, Row) {
        let mut row = Row::default();
        if self.chance(5) {
            let raw = self.one(&["null", "5", "\"x\"", "[]", r#"{"\ud800":1}"#]).to_owned();
            row.rejects.push(("", raw.clone()));
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
                members.push((name.to_owned(), self.quoted(text)));
                row.columns.insert(column, text.to_owned());
            }
        }
        if table.name.ends_with("mention") && self.chance(80) {
            let raw =
                self.identities(&mut row, "mentioned", ["mentioned_kind", "mentioned_id", "mentioned_display_name"]);
            members.push(("mentioned".to_owned(), raw));
        }
        let known = members.len();
        self.strangers(&mut members);
        members[known..].iter().for_each(|(name, raw)| row.unknown(name.clone(), raw));
        self.shuffle(&mut members);
        self.repeat(&mut members, &names);
        (self.object(&members), row)
    }

    fn interaction(&mut self) -> (String, Row) {
        let mut row = Row::default();
        if self.chance(2) {
            let raw = self.one(&["null", "5", "\"x\"", "[]", r#"{"\ud800":1,"id":"x"}"#]).to_owned();
            row.rejects.push(("", raw.clone()));
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
        for (at, (name, table, count)) in CHILDREN.into_iter().enumerate() {
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
        let known = members.len();
        self.strangers(&mut members);
        members[known..].iter().for_each(|(name, raw)| row.unknown(name.clone(), raw));
        self.shuffle(&mut members);
        let names: Vec<_> =
            names.into_iter().chain(["from", "body", "attachments", "contexts", "links", "mentions"]).collect();
        self.repeat(&mut members, &names);
        (self.object(&members), row)
    }
}

/// What serde_json's own values say: an instant is no such value.
fn oracle(raw: &str, ty: Type) -> Want {
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

/// Rows in the order in which they come out, with the time of each.
fn by_week(rows: impl Iterator<Item = (Row, Instant)>) -> Vec<(Row, Instant)> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(_, time)| Week::of(*time));
    rows
}

/// Compares a row with what it was to become; gives its key.
fn compare(found: &BTreeMap<String, String>, row: &Row, table: &'static Table, shown: &dyn Fn() -> String) -> String {
    let mut left = found.clone();
    let mut extra = left.remove("extra_json").map_or(vec![], |text| {
        let Properties(extra) = serde_json::from_str(&text).unwrap();
        extra.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect()
    });
    extra.sort();
    let mut expected = row.extra.clone();
    expected.sort();
    assert_eq!(extra, expected, "{} {}", table.name, shown());
    assert_eq!(left.remove("extracted_at"), Some(NOW.to_string()));
    for (column, text) in &row.columns {
        assert_eq!(left.remove(*column).as_ref(), Some(text), "{} {column} {}", table.name, shown());
    }
    assert!(left.is_empty(), "{} {left:?} {}", table.name, shown());
    table.key.iter().map(|part| found[*part].as_str()).collect::<Vec<_>>().join("/")
}

fn check_rejects<'r>(
    found: impl Iterator<Item = &'r Reject>,
    mut expected: Vec<(String, &str, &str)>,
    shown: &dyn Fn() -> String,
) {
    let mut found: Vec<_> = found.map(|r| (r.record_key.clone(), r.column_name, r.raw_json.as_str())).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{}", shown());
}

/// One page of interactions; how many rows and rejects it had.
fn check_interactions(seed: u64) -> (usize, usize) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    // What comes again in the same words is taken once.
    let mut seen = std::collections::HashSet::new();
    let made = (0..=random.below(18)).map(|_| random.interaction());
    let (texts, rows): (Vec<_>, Vec<_>) = made.filter(|(text, _)| seen.insert(text.clone())).unzip();
    let page = format!(" [{}] ", texts.join(" ,"));
    let shown = || format!("seed {seed}: {page}");
    let decoded = decode_interactions(USER, page.as_bytes(), NOW).unwrap();
    assert_eq!(decoded.rows as usize, rows.len(), "{}", shown());
    let of_table = |table: &str| {
        let batches = decoded.batches.iter().filter(move |(of, ..)| of.name == table);
        batches.flat_map(|(_, _, batch)| of_batch(batch)).collect::<Vec<_>>()
    };
    let rejects =
        |table: &'static str| decoded.rejects.iter().filter(move |(of, _)| of.name == table).map(|(_, reject)| reject);
    let timed = rows.into_iter().map(|row| {
        let time = row.columns.get("created_at").and_then(|text| Instant::parse(text));
        (row, time.unwrap_or(Week::UNKNOWN.start()))
    });
    let mut rows = by_week(timed);
    let found = of_table(AI_INTERACTION.name);
    assert_eq!(found.len(), rows.len(), "every row lands once {}", shown());
    let mut children: [Vec<(Row, Instant)>; 4] = Default::default();
    let mut expected = Vec::new();
    for (found, (row, time)) in found.iter().zip(&mut rows) {
        row.columns.extend([("user_id", USER.to_owned()), ("row_time", time.to_string())]);
        row.columns.entry("session_id").or_default();
        if row.columns.get("interaction_id").is_none_or(String::is_empty) {
            assert!(found["interaction_id"].starts_with("sha256:"), "{}", shown());
            row.columns.insert("interaction_id", found["interaction_id"].clone());
        }
        if let Some(class) = row.columns.get("app_class") {
            let app = class.trim_start_matches("IPM.SkypeTeams.Message.").trim_start_matches("Copilot.").to_owned();
            row.columns.insert("app", app);
        }
        if let Some(content) = row.columns.get("body_content") {
            let text = found.get("text").unwrap_or_else(|| panic!("no text {}", shown()));
            let is_html = row.columns.get("body_content_type").is_some_and(|kind| kind == "HTML");
            let is_plain = !is_html && !content.contains("attachment") && !content.contains(['\u{fdd0}', '\u{fdd1}']);
            assert!(!is_plain || content.trim().is_empty() || text == content.trim(), "{}", shown());
            row.columns.insert("text", text.clone());
        }
        let key = compare(found, row, &AI_INTERACTION, &shown);
        let part = |name: &'static str| (name, found[name].clone());
        let parts = ["user_id", "session_id", "interaction_id"].map(part);
        for (of_table, rows) in children.iter_mut().zip(&mut row.children) {
            for (position, mut child) in std::mem::take(rows).into_iter().enumerate() {
                child.columns.extend(parts.clone());
                child.columns.extend([("position", position.to_string()), ("row_time", time.to_string())]);
                of_table.push((child, *time));
            }
        }
        expected.extend(row.rejects.iter().map(|(column, raw)| (key.clone(), *column, raw.as_str())));
    }
    let mut count = expected.len();
    check_rejects(rejects(AI_INTERACTION.name), expected, &shown);
    for ((_, table, _), rows) in CHILDREN.into_iter().zip(&children) {
        let found = of_table(table.name);
        assert_eq!(found.len(), rows.len(), "{} {}", table.name, shown());
        let mut expected = Vec::new();
        for (found, (row, _)) in found.iter().zip(rows) {
            let key = compare(found, row, table, &shown);
            expected.extend(row.rejects.iter().map(|(column, raw)| (key.clone(), *column, raw.as_str())));
        }
        count += expected.len();
        check_rejects(rejects(table.name), expected, &shown);
    }
    (found.len(), count)
}

/// One page of people.
fn check_users(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let (mut texts, mut rows, mut nobody) = (Vec::new(), Vec::new(), 0);
    for _ in 0..random.below(10) {
        let (mut row, mut members) = (Row::default(), Members::new());
        let names = random.columns(&GRAPH_USER, &mut row, &mut members);
        let known = members.len();
        random.strangers(&mut members);
        members[known..].iter().for_each(|(name, raw)| row.unknown(name.clone(), raw));
        if random.chance(80) {
            let is_enabled = random.chance(50);
            let (raw, want) = random.date();
            let plan = format!(
                r#"{{"servicePlanId":"{COPILOT_PLAN_ID}","capabilityStatus":"{}","assignedDateTime":{raw}}}"#,
                if is_enabled { "Enabled" } else { "Suspended" }
            );
            let wrong = random.one(&["{}", r#"{"servicePlanId":"x"}"#, "[]", "5"]);
            let plans = format!("[{plan},{wrong}]");
            if is_enabled {
                row.want("license_assigned_at", &raw, want);
            }
            if !wrong.starts_with('{') {
                row.rejects.push(("has_copilot_license", plans.clone()));
            }
            if is_enabled || wrong.starts_with('{') {
                row.columns.insert("has_copilot_license", is_enabled.to_string());
            }
            members.push(("assignedPlans".to_owned(), plans));
        }
        random.shuffle(&mut members);
        random.repeat(&mut members, &names);
        texts.push(random.object(&members));
        if row.columns.get("user_id").is_none_or(String::is_empty) { nobody += 1 } else { rows.push(row) }
    }
    let page = format!("[{}]", texts.join(","));
    let shown = || format!("seed {seed}: {page}");
    let decoded = decode_users(page.as_bytes(), NOW, |_| Instant(0)).unwrap();
    assert_eq!((decoded.rows as usize, decoded.users.len()), (texts.len(), rows.len()), "{}", shown());
    let found = decoded.batch.as_ref().map_or(vec![], of_batch);
    assert_eq!(found.len(), rows.len(), "{}", shown());
    let mut expected = Vec::new();
    for ((found, row), user) in found.iter().zip(&mut rows).zip(&decoded.users) {
        row.columns.insert("first_seen_at", Instant(0).to_string());
        let key = compare(found, row, &GRAPH_USER, &shown);
        assert_eq!((&user.id, user.principal_name.as_ref()), (&key, found.get("user_principal_name")));
        assert_eq!(user.is_licensed, found.get("has_copilot_license").is_some_and(|text| text == "true"));
        expected.extend(row.rejects.iter().map(|(column, raw)| (key.clone(), *column, raw.as_str())));
    }
    let (whole, values): (Vec<_>, Vec<_>) = decoded.rejects.iter().partition(|reject| reject.column_name.is_empty());
    assert_eq!(whole.len(), nobody, "{}", shown());
    assert!(whole.iter().all(|reject| texts.contains(&reject.raw_json)), "{}", shown());
    check_rejects(values.into_iter(), expected, &shown);
}

#[test]
fn random_interactions_land_value_by_value() {
    let pages = if is_soak() { 110_000 } else { 2_200 };
    let sum = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
    let (rows, rejects) = (0..pages).into_par_iter().map(check_interactions).reduce(|| (0, 0), sum);
    assert!(rows > pages as usize * 9 && rejects > rows, "{rows} rows, {rejects} rejects");
}

#[test]
fn random_users_land_value_by_value() {
    (0..if is_soak() { 50_000 } else { 1_000 }).into_par_iter().for_each(check_users);
}
