//! A page of `getAllEnterpriseInteractions` to rows of `ai_interaction` and its child tables.
//!
//! The service's rate limit is far below what a core can decode, so there is no fast path: rows are read value by
//! value, keeping the raw text of what does not fit.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use copilot_lake_tables::{AI_INTERACTION, AI_INTERACTION_MENTION, INTERACTION_CHILDREN, Instant, Table, Week};
use serde_json::value::RawValue;

use super::history::{History, RowOccurrence};
use super::text::Attachment;
use super::{card, text};
use crate::content_hash::content_hash;
use crate::raw_object::{RawProperties, describe_error};
use crate::repetition::may_repeat;
use crate::table_rows::{Cell, TableRow, TableRows};
use crate::{Error, Reject};

/// Decoded interactions, at most one version of each.
#[derive(Debug, Default)]
pub struct DecodedInteractions {
    /// Batches by table and week, children before `ai_interaction`.
    pub batches: Vec<(&'static Table, Week, RecordBatch)>,
    /// Values that did not fit.
    pub rejects: Vec<(&'static Table, Reject)>,
    /// Interactions received, reported with the first revision.
    pub rows: u64,
    /// Of them, those that have no row: they came before with the same content, or are not to be kept.
    pub omitted: u64,
    /// Which versions of their rows these are.
    pub revision: Revision,
}

/// Which versions of their rows the parts of [`DecodedInteractions`] hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Revision {
    /// Rows that come for the first time.
    #[default]
    First,
    /// Rows that came before with other values: they replace earlier versions, which may have had more children. Hashes of
    /// their keys, alike within a history.
    Later(HashSet<u64>),
}

/// The properties that hold the rows of [`INTERACTION_CHILDREN`], in order, and the columns that count them.
pub(crate) const CHILDREN: [(&str, &str); 4] = [
    ("attachments", "attachment_count"),
    ("contexts", "context_count"),
    ("links", "link_count"),
    ("mentions", "mention_count"),
];

/// Decodes one page in which no row has two versions, as if it were the only one.
#[cfg(test)]
pub(crate) fn decode_interactions(
    user_id: &str,
    rows: &[u8],
    extracted_at: Instant,
) -> Result<DecodedInteractions, Error> {
    let mut interactions = Interactions::default();
    interactions.add(&mut History::new(user_id, None), rows)?;
    let mut revisions = interactions.finish(extracted_at)?;
    assert_eq!(revisions.len(), 1, "one page has one revision of a row");
    Ok(revisions.remove(0))
}

/// Rows of histories, collected page by page.
#[derive(Default)]
pub struct Interactions {
    /// First versions, then second versions of rows sent again with other content, then third ones.
    revisions: Vec<RevisionRows>,
    /// The revision that holds the latest version of each interaction, by a hash of its key.
    latest: HashMap<u64, usize>,
    rows: u64,
    omitted: u64,
}

/// Rows, at most one version of each interaction.
struct RevisionRows {
    interactions: TableRows,
    children: [TableRows; CHILDREN.len()],
    keys: HashSet<u64>,
}

impl Default for RevisionRows {
    fn default() -> Self {
        Self {
            interactions: TableRows::new(&AI_INTERACTION),
            children: INTERACTION_CHILDREN.map(TableRows::new),
            keys: HashSet::new(),
        }
    }
}

impl Interactions {
    /// Decodes the JSON array of a history's next page.
    ///
    /// # Errors
    /// [`Error::NotAPage`] if the text is not a JSON array in UTF-8: then nothing was added. Bad rows and values are
    /// rejects, not errors.
    pub fn add(&mut self, history: &mut History, rows: &[u8]) -> Result<(), Error> {
        let not_a_page = |reason: String| Error::NotAPage { table: AI_INTERACTION.name, reason };
        let text = simdutf8::basic::from_utf8(rows).map_err(|_| not_a_page("not UTF-8".to_owned()))?;
        let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_a_page(describe_error(&error)))?;
        let rejects = self.rejects();
        for raw in &raw {
            self.interaction(history, raw.get());
        }
        self.rows += raw.len() as u64;
        history.count(raw.len() as u64, self.rejects() - rejects);
        Ok(())
    }

    fn rejects(&self) -> u64 {
        let tables =
            self.revisions.iter().flat_map(|revision| revision.children.iter().chain([&revision.interactions]));
        tables.map(|table| table.misfits() as u64).sum()
    }

    fn interaction(&mut self, history: &mut History, raw: &str) {
        let mut row = TableRow::new(&AI_INTERACTION);
        // Of a repeated name the last value counts.
        let (mut sender, mut content) = ("null", "null");
        let mut arrays = ["null"; CHILDREN.len()];
        match serde_json::from_str::<RawProperties<'_>>(raw) {
            Ok(RawProperties(properties, broken)) => {
                broken.into_iter().for_each(|(name, value)| row.add_broken(name, value.get()));
                for (name, value) in properties {
                    let value = value.get();
                    match (name.as_str(), CHILDREN.iter().position(|(property, ..)| *property == name)) {
                        (_, Some(at)) => arrays[at] = value,
                        ("from", _) => sender = value,
                        ("body", _) => content = value,
                        _ => row.set_property(&name, value),
                    }
                }
            }
            Err(error) => row.reject("", format!("not a row: {}", describe_error(&error)), raw),
        }
        from(&mut row, sender);
        let content_type = body(&mut row, content);
        let mut elements: [Vec<&RawValue>; CHILDREN.len()] = Default::default();
        for (at, (_, count)) in CHILDREN.into_iter().enumerate() {
            elements[at] = array(&mut row, count, arrays[at]);
        }
        row.set("user_id", Cell::Text(history.user_id().to_owned()));
        row.fill_key("session_id", String::new);
        row.fill_key("interaction_id", || content_hash(raw));
        let app = row.text("app_class").map(|class| app(&class).to_owned());
        if let Some(app) = app {
            row.set("app", Cell::Text(app));
        }
        let created_at = row.instant("created_at");
        let row_time = created_at.unwrap_or(Week::UNKNOWN.start());
        let key = ["user_id", "session_id", "interaction_id"].map(|part| row.text(part).unwrap_or_default());
        let (hash, number) = match history.classify(&key, created_at, row.text("app_class").as_deref(), raw) {
            RowOccurrence::New(key) => (key, 0),
            // The earlier version may be in the lake, or in a revision before.
            RowOccurrence::Changed(key) => (key, self.latest.get(&key).map_or(1, |number| number + 1)),
            RowOccurrence::Repeated | RowOccurrence::Filtered => {
                self.omitted += 1;
                return;
            }
        };
        self.latest.insert(hash, number);
        while self.revisions.len() <= number {
            self.revisions.push(RevisionRows::default());
        }
        let revision = &mut self.revisions[number];
        if number > 0 {
            revision.keys.insert(hash);
        }
        let repeated = key.iter().map(String::len).sum::<usize>().saturating_mul(elements.iter().map(Vec::len).sum());
        if !may_repeat(repeated, raw) {
            for (at, (_, count)) in CHILDREN.into_iter().enumerate().filter(|(at, _)| !elements[*at].is_empty()) {
                row.set(count, Cell::Raw("null"));
                row.reject(count, "the key of its row is too long to be repeated".to_owned(), arrays[at]);
            }
            elements = Default::default();
        }
        let mut attachments = Vec::new();
        for (at, elements) in elements.iter().enumerate() {
            for (position, element) in elements.iter().enumerate() {
                let child = child(INTERACTION_CHILDREN[at], &key, position, element.get());
                if at == 0 {
                    attachments.push(Attachment {
                        id: child.text("attachment_id").unwrap_or_default(),
                        content_type: child.text("content_type").unwrap_or_default(),
                        content: child.text("content").unwrap_or_default(),
                    });
                }
                revision.children[at].append(child, row_time);
            }
        }
        let content = row.text("body_content");
        let is_html = content_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
        let text = text::readable(content.as_deref().unwrap_or_default(), is_html, &attachments);
        if content.is_some() || !text.is_empty() {
            row.set("text", Cell::Text(text));
        }
        revision.interactions.append(row, row_time);
    }

    /// The rows, as of this time, in revisions to be written one after another: the first has the first versions, rows
    /// of the others replace earlier ones in the lake or in the revisions before.
    ///
    /// # Errors
    /// None in practice: the columns are built for the schema.
    pub fn finish(self, extracted_at: Instant) -> Result<Vec<DecodedInteractions>, Error> {
        let mut revisions = self.revisions;
        if revisions.is_empty() {
            revisions.push(RevisionRows::default());
        }
        let decoded = revisions.into_iter().enumerate().map(|(number, revision)| {
            let (rows, omitted) = if number == 0 { (self.rows, self.omitted) } else { (0, 0) };
            Ok(DecodedInteractions { rows, omitted, ..revision.finish(extracted_at, number > 0)? })
        });
        decoded.collect()
    }
}

impl RevisionRows {
    fn finish(self, extracted_at: Instant, is_later: bool) -> Result<DecodedInteractions, Error> {
        let Self { interactions, children, keys } = self;
        let revision = if is_later { Revision::Later(keys) } else { Revision::First };
        let mut decoded = DecodedInteractions { revision, ..DecodedInteractions::default() };
        for table_rows in children.into_iter().chain([interactions]) {
            let table = table_rows.table;
            let (batches, rejects) = table_rows.finish(extracted_at)?;
            decoded.batches.extend(batches.into_iter().map(|(week, batch)| (table, week, batch)));
            decoded.rejects.extend(rejects.into_iter().map(|reject| (table, reject)));
        }
        Ok(decoded)
    }
}

/// The elements of an array; their number goes into the count column.
fn array<'a>(row: &mut TableRow<'a>, count: &'static str, raw: &'a str) -> Vec<&'a RawValue> {
    match serde_json::from_str::<Option<Vec<&RawValue>>>(raw) {
        Ok(elements) => {
            if let Some(elements) = &elements {
                row.set(count, Cell::Int(elements.len() as i64));
            }
            elements.unwrap_or_default()
        }
        Err(_) => {
            row.reject(count, "not an array".to_owned(), raw);
            vec![]
        }
    }
}

/// A row of a child table.
fn child<'a>(table: &'static Table, key: &[String; 3], position: usize, raw: &'a str) -> TableRow<'a> {
    let mut row = TableRow::new(table);
    match serde_json::from_str::<RawProperties<'_>>(raw) {
        Ok(RawProperties(properties, broken)) => {
            broken.into_iter().for_each(|(name, value)| row.add_broken(name, value.get()));
            // Of a repeated name the last value counts.
            let mut mention = "null";
            for (name, value) in properties {
                if name == "mentioned" && table.name == AI_INTERACTION_MENTION.name {
                    mention = value.get();
                } else {
                    row.set_property(&name, value.get());
                }
            }
            mentioned(&mut row, mention);
        }
        Err(_) => row.reject("", "not an object".to_owned(), raw),
    }
    // A card may be sent as the object itself.
    if let Some(card) = row.raw("content").filter(|content| content.starts_with('{'))
        && row.text("content_type").as_deref() == Some(card::CARD)
    {
        row.set("content", Cell::Text(card.to_owned()));
    }
    for (column, part) in ["user_id", "session_id", "interaction_id"].into_iter().zip(key) {
        row.set(column, Cell::Text(part.clone()));
    }
    // A page has far fewer elements than fit into an i32.
    row.set("position", Cell::Int(position as i64));
    row
}

/// The app of a conversation: the app class without its common prefix.
fn app(class: &str) -> &str {
    const COMMON: [&str; 2] = ["IPM.SkypeTeams.Message.Copilot.", "IPM.SkypeTeams.Message."];
    COMMON.iter().find_map(|common| class.strip_prefix(common)).unwrap_or(class)
}

/// Reads `body`; returns its content type.
fn body<'a>(row: &mut TableRow<'a>, raw: &'a str) -> Option<String> {
    let columns = [("contentType", "body_content_type"), ("content", "body_content")];
    nested(row, "body_content", "body", raw, |row, name, value| {
        let column = columns.iter().find(|(property, _)| *property == name);
        column.is_some_and(|(_, column)| row.set_raw(column, value))
    });
    row.text("body_content_type")
}

/// Reads `from`: the one identity that is set.
fn from<'a>(row: &mut TableRow<'a>, raw: &'a str) {
    let names = ["from_kind", "from_id", "from_display_name"];
    nested(row, "from_kind", "from", raw, |row, kind, value| identity(row, names, "from", kind, value));
}

/// Reads `mentioned` of a mention.
fn mentioned<'a>(row: &mut TableRow<'a>, raw: &'a str) {
    let names = ["mentioned_kind", "mentioned_id", "mentioned_display_name"];
    nested(row, "mentioned_kind", "mentioned", raw, |row, kind, value| identity(row, names, "mentioned", kind, value));
}

/// Reads one identity of a set; `false` if one is already set, or the kind is unknown.
fn identity<'a>(row: &mut TableRow<'a>, names: [&'static str; 3], set: &str, kind: &str, raw: &'a str) -> bool {
    let [kind_column, id, display_name] = names;
    let is_known = matches!(kind, "user" | "application" | "device" | "conversation" | "tag");
    if is_known && raw == "null" {
        return true;
    }
    if !is_known || row.is_filled(kind_column) {
        return false;
    }
    row.set(kind_column, Cell::Text(kind.to_owned()));
    // Some devices are sent as a bare name.
    if raw.starts_with('"') {
        return row.set_raw(display_name, raw);
    }
    nested(row, id, &format!("{set}.{kind}"), raw, |row, name, value| match name {
        "id" => row.set_raw(id, value),
        "displayName" => row.set_raw(display_name, value),
        "tenantId" if set == "from" => row.set_raw("from_tenant_id", value),
        _ if set == "from" && name.strip_suffix("IdentityType") == Some(kind) => {
            row.set_raw("from_identity_type", value)
        }
        _ => false,
    });
    true
}

/// Reads a nested object: properties that `take` declines go to `extra_json` with their path.
fn nested<'a>(
    row: &mut TableRow<'a>,
    column: &'static str,
    path: &str,
    raw: &'a str,
    mut take: impl FnMut(&mut TableRow<'a>, &str, &'a str) -> bool,
) {
    match serde_json::from_str::<Option<RawProperties<'_>>>(raw) {
        Ok(None) => {}
        Ok(Some(RawProperties(properties, broken))) => {
            for (name, value) in properties {
                if !take(row, &name, value.get()) {
                    row.add_unknown(format!("{path}.{name}"), value.get());
                }
            }
            broken.into_iter().for_each(|(name, value)| row.add_broken(format!("{path}.{name}"), value.get()));
        }
        Err(_) => row.reject(column, "not an object".to_owned(), raw),
    }
}
