//! Query options and preferences of a request for rows.

use std::sync::Arc;

use copilot_lake_tables::{Column, Table};
use url::form_urlencoded;

use crate::data::columns::Columns;
use crate::dataverse::change_tracking::DELTA;
use crate::dataverse::row_filter::{Compare, Filter, Literal, Operator};
use crate::http::response::Refusal;

/// What a request for rows asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Wire names as asked; empty: everything.
    pub(crate) select: Vec<String>,
    pub(crate) filter: Option<Filter>,
    /// The column to order by, and whether it descends.
    pub(crate) order: Option<(&'static Column, bool)>,
    /// Further columns to order by: not on elastic tables.
    pub(crate) then: Vec<(&'static Column, bool)>,
    pub(crate) top: Option<usize>,
    pub(crate) count: bool,
    /// The token of a read of changes.
    pub(crate) delta: Option<String>,
}

/// The table as it is seen by a request: with the columns that the environment has.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) table: &'static Table,
    pub(crate) elastic: bool,
    pub(crate) columns: Arc<Columns>,
}

impl View {
    /// The column of that wire name.
    pub(crate) fn column(&self, wire: &str) -> Result<&'static Column, Refusal> {
        self.columns.find(wire).ok_or_else(|| Refusal::no_property(wire, self.table.name))
    }
}

impl Query {
    /// Reads the query string of a collection, without its `$skiptoken`.
    pub(crate) fn parse(text: &str, view: &View) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "$select" => {
                    for name in value.split(',') {
                        view.column(name.trim())?;
                        query.select.push(name.trim().to_owned());
                    }
                }
                "$filter" => query.and(Filter::parse(&value, &|name| view.column(name))?),
                "$orderby" => query.order_by(&value, view)?,
                "$top" => query.top = Some(number(&name, &value)?),
                "$count" => query.count = value == "true",
                "partitionId" => query.and(Filter::Compare(Compare {
                    column: view.column("partitionid")?,
                    operator: Operator::Equal,
                    literal: Literal::Text(value.trim_matches('\'').to_lowercase()),
                })),
                DELTA => query.delta = Some(value.into_owned()),
                "$expand" if view.elastic => {
                    return Err(Refusal::new(400, "0x80048d0b", "Link entities are not supported."));
                }
                "$expand" => return Err(Refusal::new(501, "0x80060888", "$expand is not part of the emulator.")),
                "$skip" => return Err(Refusal::bad_request("Skip Clause is not supported in CRM")),
                other if other.starts_with('$') => {
                    return Err(Refusal::bad_request(&format!("The query parameter '{other}' is not supported.")));
                }
                // The service ignores names that are not its own.
                _ => {}
            }
        }
        Ok(query)
    }

    /// Adds a condition.
    pub(crate) fn and(&mut self, filter: Filter) {
        self.filter = Some(match self.filter.take() {
            None => filter,
            Some(Filter::And(mut all)) => {
                all.push(filter);
                Filter::And(all)
            }
            Some(other) => Filter::And(vec![other, filter]),
        });
    }

    fn order_by(&mut self, text: &str, view: &View) -> Result<(), Refusal> {
        let mut keys = Vec::new();
        for key in text.split(',') {
            let mut words = key.split_whitespace();
            let column = view.column(words.next().unwrap_or_default())?;
            let descends = match words.next() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => return Err(Refusal::bad_request(&format!("'{other}' is not an order."))),
            };
            keys.push((column, descends));
        }
        if view.elastic && keys.len() > 1 {
            // Cosmos DB needs a composite index, which Dataverse does not make.
            return Err(Refusal::bad_request(
                "The order by query does not have a corresponding composite index that it can be served from.",
            ));
        }
        let mut keys = keys.into_iter();
        self.order = keys.next();
        self.then = keys.collect();
        Ok(())
    }
}

fn number(name: &str, value: &str) -> Result<usize, Refusal> {
    value.parse().map_err(|_| Refusal::bad_request(&format!("Invalid value '{value}' for {name} query option found.")))
}

/// What `Prefer` asks for, over all its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    pub(crate) max_page: Option<usize>,
    pub(crate) annotations: Annotations,
    pub(crate) track: bool,
}

/// The annotations that are asked for: names, of which `*` may be the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Annotations(Vec<String>);

impl Annotations {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.0.iter().any(|asked| match asked.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => asked == name,
        })
    }
}

impl Preferences {
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut preferences = Self::default();
        for part in lines.flat_map(parts) {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
            match name.trim() {
                "odata.maxpagesize" => preferences.max_page = value.parse().ok().filter(|size| *size > 0),
                "odata.track-changes" => preferences.track = true,
                "odata.include-annotations" => {
                    let names = value.trim_matches('"').split(',').map(|name| name.trim().to_owned());
                    preferences.annotations.0.extend(names.filter(|name| !name.is_empty()));
                }
                _ => {}
            }
        }
        preferences
    }

    /// What `Preference-Applied` tells.
    pub(crate) fn applied(&self) -> String {
        let mut applied = Vec::new();
        applied.extend(self.max_page.map(|size| format!("odata.maxpagesize={size}")));
        if !self.annotations.is_empty() {
            applied.push(format!("odata.include-annotations=\"{}\"", self.annotations.0.join(",")));
        }
        if self.track {
            applied.push("odata.track-changes".to_owned());
        }
        applied.join(",")
    }
}

/// The preferences of a line: split at commas outside quotes.
fn parts(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .collect()
}
