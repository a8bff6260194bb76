//! The measures of `week_over_week`, week by week.

use copilot_lake_tables::Instant;

use super::answer::{Answer, AnswerRow, Value};
use super::chart::Series;
use super::numbers::Unit;
use super::table::{ReportColumn, ReportTable};
use super::weeks::{CalendarDay, Weeks};

/// A measure: its name in the query, what people call it, and the counts behind a rate.
struct Measure {
    name: &'static str,
    label: &'static str,
    counts: Option<(&'static str, &'static str)>,
}

const DYNAMICS: &[Measure] = &[
    Measure { name: "responses", label: "Responses", counts: None },
    Measure { name: "active_users", label: "Active people", counts: None },
    Measure { name: "net_positive_rate", label: "Net positive rate", counts: Some(("rated_responses", "rated")) },
    Measure { name: "used_rate", label: "Responses used", counts: Some(("responses", "responses")) },
];
const M365: &[Measure] = &[
    Measure { name: "m365_active_users", label: "Active people", counts: None },
    Measure { name: "m365_prompts", label: "Prompts", counts: None },
];

/// What changed in a service in its newest complete week.
pub(super) struct ServiceChanges {
    pub(super) service: &'static str,
    pub(super) week: CalendarDay,
    pub(super) is_complete: bool,
    pub(super) cards: Vec<Card>,
}

/// A measure in that week.
pub(super) struct Card {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// `+12 against 326 the week before`.
    pub(super) change: String,
    pub(super) counts: Option<String>,
    pub(super) history: Vec<Option<f64>>,
}

/// Measures by week, of one service.
pub(super) struct Measures<'a> {
    answer: &'a Answer,
    weeks: Weeks,
    is_m365: bool,
}

impl<'a> Measures<'a> {
    pub(super) fn dynamics(answer: &'a Answer, complete_until: Instant) -> Self {
        Self::new(answer, complete_until, false)
    }

    pub(super) fn m365(answer: &'a Answer, complete_until: Instant) -> Self {
        Self::new(answer, complete_until, true)
    }

    fn new(answer: &'a Answer, complete_until: Instant, is_m365: bool) -> Self {
        let days = rows(answer, is_m365).filter_map(|(_, row)| row.day("week_start"));
        Self { answer, weeks: Weeks::spanning(days, complete_until), is_m365 }
    }

    pub(super) fn weeks(&self) -> &Weeks {
        &self.weeks
    }

    /// A measure in each week of these, whichever service's they are.
    pub(super) fn series(&self, name: &str, label: &str, weeks: &Weeks) -> Series {
        let mut values = vec![None; weeks.len()];
        for row in self.answer.rows().filter(|row| row.text("measure") == Some(name)) {
            if let Some(at) = row.day("week_start").and_then(|day| weeks.position(day)) {
                values[at] = row.number("value");
            }
        }
        Series { name: label.to_owned(), values }
    }

    /// `None` if the lake has nothing of the service.
    pub(super) fn changes(&self) -> Option<ServiceChanges> {
        let at = self.weeks.newest()?;
        let week = self.weeks.days()[at];
        let (service, measures) = if self.is_m365 { ("Microsoft 365", M365) } else { ("Dynamics 365", DYNAMICS) };
        let cards = measures.iter().map(|measure| self.card(measure, at)).collect();
        Some(ServiceChanges { service, week, is_complete: self.weeks.is_complete(at), cards })
    }

    fn card(&self, measure: &Measure, at: usize) -> Card {
        let row = self.row(measure.name, self.weeks.days()[at]);
        let [value, previous, change] = ["value", "previous", "change"].map(|name| row.get(name));
        let unit = unit(measure.name);
        let change = match (change, previous) {
            (Some(change), Some(previous)) => {
                format!("{} from {}", unit.write_change(change), unit.write(previous))
            }
            _ => "nothing to compare with".to_owned(),
        };
        let counts = measure.counts.and_then(|(name, noun)| {
            let count = self.row(name, self.weeks.days()[at]).get("value")?;
            Some(format!("of {} {noun}", Unit::Count.write(count)))
        });
        let mut history = self.series(measure.name, measure.label, &self.weeks).values;
        history.truncate(at + 1);
        Card {
            label: measure.label,
            value: value.map_or_else(|| "–".to_owned(), |value| unit.write(value)),
            change,
            counts,
            history,
        }
    }

    fn row(&self, measure: &str, week: CalendarDay) -> RowNumbers<'a> {
        let mut rows = self.answer.rows();
        RowNumbers(rows.find(|row| row.text("measure") == Some(measure) && row.day("week_start") == Some(week)))
    }
}

/// The numbers of a row that may not be there.
struct RowNumbers<'a>(Option<AnswerRow<'a>>);

impl RowNumbers<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        self.0.and_then(|row| row.number(name))
    }
}

/// Every measure of the weeks that the cards are about.
pub(super) fn table(services: &[&Measures<'_>]) -> ReportTable {
    let mut rows = Vec::new();
    for service in services {
        let Some(at) = service.weeks.newest() else { continue };
        let week = service.weeks.days()[at];
        for (name, row) in self::rows(service.answer, service.is_m365) {
            if row.day("week_start") != Some(week) {
                continue;
            }
            let unit = unit(name);
            let texts = ["value", "previous"].map(|column| written(row.number(column), |number| unit.write(number)));
            let [value, previous] = texts;
            let change = written(row.number("change"), |number| unit.write_change(number));
            rows.push(vec![Value::Text(name.to_owned()), Value::Day(week), value, previous, change]);
        }
    }
    let columns = ["measure", "week of", "value", "week before", "change"];
    ReportTable {
        caption: "Week over week".to_owned(),
        columns: columns.map(|heading| ReportColumn::new(heading, Unit::Plain)).into(),
        rows,
    }
}

fn written(number: Option<f64>, write: impl Fn(f64) -> String) -> Value {
    number.map_or(Value::Null, |number| Value::Text(write(number)))
}

/// The rows of a service, each with its measure.
fn rows<'a>(answer: &'a Answer, is_m365: bool) -> impl Iterator<Item = (&'a str, AnswerRow<'a>)> {
    let named = answer.rows().filter_map(|row| Some((row.text("measure")?, row)));
    named.filter(move |(name, _)| name.starts_with("m365_") == is_m365)
}

/// By the name: rates are called so.
fn unit(measure: &str) -> Unit {
    if measure.ends_with("_rate") { Unit::Percent } else { Unit::Count }
}
