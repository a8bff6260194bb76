//! Projection of rows: the selected properties, with the requested annotations.

use copilot_lake_tables::{Column, Instant, Type};

use crate::data::columns::TableView;
use crate::data::json_fields::JsonFields;
use crate::data::json_writer::{ObjectWriter, string};
use crate::data::representatives::People;
use crate::dataverse::row_query::RowQuery;

/// Annotation: the table that a lookup refers to.
const TARGET: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
/// Annotation: the value for display.
const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";

/// How rows are sent that are not sent as they are stored.
#[derive(Debug)]
pub(crate) struct RowProjection<'a> {
    view: &'a TableView,
    /// Wire names of columns that are left out.
    without: Vec<&'static str>,
    annotations: &'a [String],
    people: &'a People,
}

impl<'a> RowProjection<'a> {
    /// `None` when rows are sent as they are stored. Keys and unknown properties are always sent.
    pub(crate) fn new(
        query: &RowQuery,
        view: &'a TableView,
        annotations: &'a [String],
        people: &'a People,
    ) -> Option<Self> {
        let is_selected = |wire: &str| query.select.is_empty() || query.select.iter().any(|name| name == wire);
        let columns = view.columns.all().iter();
        let is_left_out = |column: &&&Column| {
            column.wire.contains('@') || !(is_selected(column.wire) || view.table.key.contains(&column.name))
        };
        let without: Vec<_> = columns.filter(is_left_out).map(|column| column.wire).collect();
        let plain = without.is_empty() && annotations.is_empty();
        (!plain).then_some(Self { view, without, annotations, people })
    }

    /// Appends a projected row.
    pub(crate) fn write(&self, out: &mut Vec<u8>, json: &[u8]) {
        let Ok(fields) = JsonFields::read(json) else {
            out.extend_from_slice(json);
            return;
        };
        let mut object = ObjectWriter::new(out);
        for (name, raw) in fields.iter().filter(|(name, _)| !self.without.contains(name)) {
            if let Some(column) = self.view.columns.find(name).filter(|_| !self.annotations.is_empty() && raw != "null")
            {
                for annotation in [TARGET, FORMATTED] {
                    let name = format!("{name}@{annotation}");
                    if let Some(raw) = self.annotation(&fields, column, annotation, &name) {
                        object.push(&name, &raw);
                    }
                }
            }
            object.push(name, raw);
        }
        object.end();
    }

    /// The annotation of a value as JSON, if it is requested and exists.
    fn annotation(&self, row: &JsonFields<'_>, column: &Column, annotation: &str, name: &str) -> Option<String> {
        if !self.annotations.iter().any(|wanted| wanted == annotation) {
            return None;
        }
        if let Some(raw) = row.raw(name) {
            return Some(raw.to_owned());
        }
        let text = match annotation {
            TARGET => self.target(row, column)?.to_owned(),
            _ => self.formatted(row, column)?,
        };
        let mut quoted = Vec::new();
        string(&mut quoted, &text);
        String::from_utf8(quoted).ok()
    }

    fn target(&self, row: &JsonFields<'_>, column: &Column) -> Option<&'static str> {
        let Type::Lookup(targets) = column.ty else { return None };
        let team = column.owner.and_then(|(_, team)| self.view.table.column(team));
        let team_owns = team.is_some_and(|team| row.text(team.wire).is_some());
        targets.get(usize::from(team_owns)).or_else(|| targets.first()).copied()
    }

    fn formatted(&self, row: &JsonFields<'_>, column: &Column) -> Option<String> {
        let raw = row.raw(column.wire)?;
        let text = row.text(column.wire);
        match column.ty {
            Type::Lookup(_) => self.people.name(&text?).map(str::to_owned),
            Type::Choice(_) => {
                let code = raw.parse::<i32>().ok()?;
                let options = self.view.columns.options(column);
                let label = options.iter().find(|option| option.0 == code).map(|option| option.1.to_owned());
                Some(label.unwrap_or_else(|| raw.to_owned()))
            }
            Type::Boolean => Some(if raw == "true" { "Yes" } else { "No" }.to_owned()),
            Type::Instant => Instant::parse(&text?).map(date),
            Type::Int32 | Type::Int64 | Type::Decimal => Some(raw.to_owned()),
            Type::Guid | Type::Text | Type::File | Type::Date => None,
        }
    }
}

/// `11/5/2025 12:00 PM`, in United States format and UTC.
fn date(at: Instant) -> String {
    let text = at.floor_second().to_string();
    let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap_or_default();
    let (hour, half) = (number(11..13), if number(11..13) < 12 { "AM" } else { "PM" });
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{}/{}/{} {hour}:{} {half}", number(5..7), number(8..10), &text[..4], &text[14..16])
}
