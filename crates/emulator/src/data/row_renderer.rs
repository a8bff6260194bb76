//! Renders the facts of a row as the JSON that the service sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_tables::{Column, Table};

use crate::data::column_value::{ColumnRule, ValueContext};
use crate::data::columns::SHARED;
use crate::data::dates::Dates;
use crate::data::json::{number, string};
use crate::data::random::{guid, hash};
use crate::data::representatives::People;
use crate::data::row_facts::{Identity, RowFacts};
use crate::data::row_links::RowLinks;

/// Renders rows of one table: a property per column, in the service's order.
#[derive(Debug, Clone)]
pub(crate) struct RowRenderer {
    pub(crate) table: &'static Table,
    identity: Identity,
    people: Arc<People>,
    links: Arc<RowLinks>,
    properties: Vec<(Vec<u8>, &'static Column, ColumnRule)>,
    dates: Dates,
}

/// Values that a scenario sets: raw JSON by wire name; `None` leaves the property out.
pub(crate) type Overrides = BTreeMap<String, Option<String>>;

impl RowRenderer {
    /// A renderer of the columns that the environment has.
    pub(crate) fn new(
        table: &'static Table,
        columns: &[&'static Column],
        people: &Arc<People>,
        links: &Arc<RowLinks>,
    ) -> Self {
        let mut columns = columns.to_vec();
        // The service has its own order of properties, neither the definition's nor the request's. An annotation
        // comes before its property.
        columns.sort_by_key(|column| {
            let property = column.wire.split('@').next().unwrap_or(column.wire);
            (hash(property.as_bytes()), property == column.wire)
        });
        let value = |column: &'static Column| {
            let known = table.columns.iter().any(|own| std::ptr::eq(own, column)) || SHARED.contains(&column.wire);
            if known { ColumnRule::for_column(table, column) } else { ColumnRule::Null }
        };
        let properties =
            columns.into_iter().map(|column| (format!(",\"{}\":", column.wire).into_bytes(), column, value(column)));
        Self {
            table,
            identity: Identity::for_table(table),
            people: Arc::clone(people),
            links: Arc::clone(links),
            properties: properties.collect(),
            dates: Dates::default(),
        }
    }

    /// The facts behind the File of a chat.
    pub(crate) fn chat(&self, file_id: &str) -> Option<&RowFacts> {
        self.links.file(file_id)
    }

    /// Appends the row as a JSON object; returns how many Files it names.
    pub(crate) fn render(&mut self, out: &mut Vec<u8>, facts: &RowFacts) -> u8 {
        out.extend_from_slice(b"{\"@odata.etag\":\"W/\\\"");
        number(out, facts.version);
        out.extend_from_slice(b"\\\"\"");
        let mut files = 0;
        let Self { table, identity, ref people, ref links, ref properties, ref mut dates } = *self;
        let made = ValueContext { table, identity, people, links, facts };
        for (prefix, column, value) in properties.iter().filter(|property| !property.2.is_absent(facts)) {
            out.extend_from_slice(prefix);
            files += u8::from(made.write(out, dates, column, *value));
        }
        out.push(b'}');
        files
    }

    /// The key hash of a row.
    pub(crate) fn key(&mut self, facts: &RowFacts) -> u64 {
        let mut text = Vec::with_capacity(80);
        for name in self.table.key {
            match *name {
                "partitionid" => self.dates.partition(&mut text, facts.created, facts.scenario),
                _ => match self.people.user(facts.person).filter(|_| self.identity == Identity::User) {
                    Some(person) => text.extend_from_slice(person.id.as_bytes()),
                    None => guid(&mut text, self.identity.seed(facts)),
                },
            }
            text.push(b'/');
        }
        hash(&text)
    }

    /// Renders a row with values and additional properties of a scenario.
    pub(crate) fn render_with(&mut self, facts: &RowFacts, overrides: &Overrides) -> Vec<u8> {
        let mut out = Vec::new();
        let etag = overrides.get("@odata.etag").cloned();
        let etag = etag.unwrap_or_else(|| Some(format!("\"W/\\\"{}\\\"\"", facts.version)));
        out.push(b'{');
        if let Some(etag) = etag {
            out.extend_from_slice(b",\"@odata.etag\":");
            out.extend_from_slice(etag.as_bytes());
        }
        let Self { table, identity, ref people, ref links, ref properties, ref mut dates } = *self;
        let made = ValueContext { table, identity, people, links, facts };
        for (prefix, column, value) in properties {
            match overrides.get(column.wire) {
                None if value.is_absent(facts) => {}
                None => {
                    out.extend_from_slice(prefix);
                    made.write(&mut out, dates, column, *value);
                }
                Some(Some(json)) => {
                    out.extend_from_slice(prefix);
                    out.extend_from_slice(json.as_bytes());
                }
                Some(None) => {}
            }
        }
        for (name, json) in overrides {
            let known = name == "@odata.etag" || properties.iter().any(|property| property.1.wire == name);
            if let (false, Some(json)) = (known, json) {
                out.push(b',');
                string(&mut out, name);
                out.push(b':');
                out.extend_from_slice(json.as_bytes());
            }
        }
        out.push(b'}');
        if out.get(1) == Some(&b',') {
            out.remove(1);
        }
        out
    }
}
