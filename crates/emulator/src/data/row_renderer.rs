//! Renders the facts of a row as the JSON that the service sends.

use std::sync::Arc;

use copilot_lake_tables::{Column, Table, Type};

use crate::data::column_value::{ColumnRule, ValueContext};
use crate::data::columns::SHARED;
use crate::data::json_writer::number;
use crate::data::random::{guid, hash};
use crate::data::representatives::People;
use crate::data::row_facts::{Identity, RowFacts};
use crate::data::row_links::RowLinks;
use crate::error::Error;

/// Renders rows of one table: a property per column, in the service's order.
#[derive(Debug)]
pub(crate) struct RowRenderer {
    pub(crate) table: &'static Table,
    identity: Identity,
    people: Arc<People>,
    pub(crate) links: Arc<RowLinks>,
    properties: Vec<(Vec<u8>, &'static Column, ColumnRule)>,
}

impl RowRenderer {
    /// A renderer of the columns that the environment has.
    pub(crate) fn new(
        table: &'static Table,
        columns: &[&'static Column],
        people: &Arc<People>,
        links: &Arc<RowLinks>,
    ) -> Result<Self, Error> {
        let mut columns = columns.to_vec();
        // The service has its own order of properties, neither the definition's nor the request's. An annotation
        // comes before its property.
        columns.sort_by_key(|column| {
            let property = column.wire.split('@').next().unwrap_or(column.wire);
            (hash(property.as_bytes()), property == column.wire)
        });
        let rule = |column: &'static Column| {
            let known = table.columns.iter().any(|own| std::ptr::eq(own, column)) || SHARED.contains(&column.wire);
            if known { ColumnRule::for_column(table, column) } else { ColumnRule::NULL }
        };
        let properties =
            columns.into_iter().map(|column| (format!(",\"{}\":", column.wire).into_bytes(), column, rule(column)));
        Ok(Self {
            table,
            identity: Identity::for_table(table)?,
            people: Arc::clone(people),
            links: Arc::clone(links),
            properties: properties.collect(),
        })
    }

    /// Appends the row as a JSON object; returns how many Files it names.
    pub(crate) fn render(&self, out: &mut Vec<u8>, facts: &RowFacts) -> u8 {
        out.extend_from_slice(b"{\"@odata.etag\":\"W/\\\"");
        number(out, facts.version);
        out.extend_from_slice(b"\\\"\"");
        let mut files = 0;
        let Self { table, identity, ref people, ref links, .. } = *self;
        let row = ValueContext { table, identity, people, links, facts };
        for (prefix, column, rule) in self.properties.iter().filter(|property| !property.2.is_absent(facts)) {
            out.extend_from_slice(prefix);
            rule.write(&row, out, column);
            files += u8::from(matches!(column.ty, Type::File) && !out.ends_with(b"null"));
        }
        out.push(b'}');
        files
    }

    /// The key hash of a row.
    pub(crate) fn key(&self, facts: &RowFacts) -> u64 {
        let mut text = Vec::with_capacity(80);
        for name in self.table.key {
            match *name {
                "partitionid" => facts.partition(&mut text),
                _ => match self.people.user(facts.person).filter(|_| self.identity == Identity::User) {
                    Some(person) => text.extend_from_slice(person.id.as_bytes()),
                    None => guid(&mut text, self.identity.seed(facts)),
                },
            }
            text.push(b'/');
        }
        hash(&text)
    }
}
