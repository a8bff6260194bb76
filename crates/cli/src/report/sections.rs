//! The charts and tables of the page, and the rows that each of them shows.

use copilot_lake_tables::{AI_INTERACTION, COPILOT_EVENT, Instant, Table};
use maud::Markup;

use super::answer::{Answer, AnswerRow, Value};
use super::chart::{self, Bar, ChartText, Series};
use super::figures::Figures;
use super::measures::Measures;
use super::numbers::Unit;
use super::parameters::ReportParameters;
use super::table::{ReportColumn, ReportTable, text};
use super::weeks::{CalendarDay, Weeks};

/// Series of a stack that have a name; the others are one.
const MOST_SERIES: usize = 5;

/// Scenarios whose rates are drawn; the table has all.
const MOST_BARS: usize = 8;

/// A chart with the table behind it, or a table alone.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) note: String,
    /// None of a table, and where there are no rows.
    pub(super) drawing: Option<Markup>,
    pub(super) table: ReportTable,
    /// The shipped query that has the numbers.
    pub(super) query: &'static str,
}

/// Up to when the weeks of a service are complete, by the clocks of the page's zone: as far as its main table was read, and
/// not beyond the present.
pub(super) fn complete_until(figures: &Figures, table: &Table, parameters: &ReportParameters, now: Instant) -> Instant {
    let mut rows = figures.health.rows().filter(|row| row.text("table_name") == Some(table.name));
    parameters.local(rows.find_map(|row| row.moment("done_until")).map_or(now, |until| until.min(now)))
}

/// What an owner wants to see first.
pub(super) fn overview(figures: &Figures, parameters: &ReportParameters, now: Instant) -> Vec<Section> {
    let until = [&COPILOT_EVENT, &AI_INTERACTION].map(|table| complete_until(figures, table, parameters, now));
    let dynamics = Measures::dynamics(&figures.measures, until[0]);
    let m365 = Measures::m365(&figures.measures, until[1]);
    vec![
        scenarios(&figures.scenarios, dynamics.weeks()),
        apps(&figures.apps, m365.weeks()),
        rate(&dynamics),
        funnel(&figures.scenarios),
        people(&dynamics, &m365, until[0].min(until[1])),
        segments(&figures.segments, until[1]),
    ]
}

fn scenarios(answer: &Answer, weeks: &Weeks) -> Section {
    let rows = answer.rows().map(|row| (scenario(row), row.day("week_start"), row.count("generated")));
    let series = stacked(rows, weeks);
    let title = "Responses by scenario".to_owned();
    let note = "Dynamics 365: requests of people with a response, per week.".to_owned();
    by_week("scenarios", title, note, "scenario_funnel", weeks, series)
}

fn apps(answer: &Answer, weeks: &Weeks) -> Section {
    // Rows of all apps together are those with a number of licences.
    let of_apps = answer.rows().filter(|row| row.number("enabled_users").is_none());
    let app = |row: AnswerRow<'_>| row.text("app").unwrap_or("unknown app").to_owned();
    let series = stacked(of_apps.map(|row| (app(row), row.day("week_start"), row.count("prompts"))), weeks);
    let title = "Prompts by app".to_owned();
    let note = "Microsoft 365: prompts of people, per week.".to_owned();
    by_week("apps", title, note, "m365_active_users", weeks, series)
}

fn by_week(
    id: &'static str,
    title: String,
    note: String,
    query: &'static str,
    weeks: &Weeks,
    series: Vec<Series>,
) -> Section {
    let description = described(weeks, &series, Unit::Count);
    let drawn = chart::columns(ChartText { id, title: &title, description: &description }, weeks, &series);
    let drawing = (!weeks.is_empty() && !series.is_empty()).then_some(drawn);
    let table = weekly(&title, weeks, &series.into_iter().map(|of| (of, Unit::Count)).collect::<Vec<_>>());
    Section { id, title, note, drawing, table, query }
}

fn rate(measures: &Measures<'_>) -> Section {
    let weeks = measures.weeks();
    let (rate, rated) = (
        measures.series("net_positive_rate", "thumbs up of rated", weeks),
        measures.series("rated_responses", "rated responses", weeks),
    );
    let title = "Net positive rate".to_owned();
    let description = described(weeks, std::slice::from_ref(&rate), Unit::Percent);
    let words = ChartText { id: "rate", title: &title, description: &description };
    let drawing = (!weeks.is_empty()).then(|| chart::rate_with_counts(words, weeks, &rate, &rated));
    let table = weekly(&title, weeks, &[(rate, Unit::Percent), (rated, Unit::Count)]);
    let note = "Dynamics 365: thumbs up of all rated responses.".to_owned();
    Section { id: "rate", title, note, drawing, table, query: "week_over_week" }
}

fn funnel(answer: &Answer) -> Section {
    let sum = |column: &str| answer.rows().map(|row| row.count(column)).sum::<i64>();
    let (generated, rated) = (sum("generated"), sum("rated"));
    let stages = [
        ("Responses", generated, None),
        ("Viewed in full", sum("viewed"), Some((generated, "responses"))),
        ("Used in any way", sum("used_any"), Some((generated, "responses"))),
        ("Edited before sending", sum("edited"), Some((generated, "responses"))),
        ("Rated", rated, Some((generated, "responses"))),
        ("Rated up", sum("positive"), Some((rated, "rated"))),
    ];
    let share = |count: i64, of: i64| (of > 0).then(|| count as f64 / of as f64);
    let mut bars = Vec::new();
    let mut rows = Vec::new();
    for (name, count, of) in stages {
        let rate = of.and_then(|(all, _)| share(count, all));
        let note = rate.map(|rate| Unit::Percent.write(rate)).unwrap_or_default();
        let number = Some(count as f64);
        bars.push(Bar { name: name.to_owned(), value: number, text: Unit::Count.write(count as f64), note });
        let of = of.map_or(Value::Null, |(_, noun)| Value::Text(noun.to_owned()));
        rows.push(vec![Value::Text(name.to_owned()), Value::Count(count), Value::of_number(rate), of]);
    }
    if answer.is_empty() {
        rows.clear();
    }
    let title = "From response to thumbs up".to_owned();
    let description = bars.iter().map(|bar| format!("{}: {}", bar.name, bar.text)).collect::<Vec<_>>().join(", ");
    let words = ChartText { id: "funnel", title: &title, description: &description };
    let drawing = (generated > 0).then(|| chart::bars(words, &bars, None));
    let columns = [("stage", Unit::Plain), ("requests", Unit::Count), ("share", Unit::Percent), ("of", Unit::Plain)];
    let table = ReportTable { caption: title.clone(), columns: headings(&columns), rows };
    let offered = Unit::Count.write(sum("available") as f64);
    let note = format!("Dynamics 365: all weeks shown; offered {offered} times.");
    Section { id: "funnel", title, note, drawing, table, query: "scenario_funnel" }
}

fn people(dynamics: &Measures<'_>, m365: &Measures<'_>, complete_until: Instant) -> Section {
    let days = [dynamics, m365].map(|of| of.weeks().days().to_vec()).concat();
    let weeks = Weeks::spanning(days.into_iter(), complete_until);
    let mut series = Vec::new();
    if !dynamics.weeks().is_empty() {
        series.push(dynamics.series("active_users", "Dynamics 365", &weeks));
    }
    if !m365.weeks().is_empty() {
        series.push(m365.series("m365_active_users", "Microsoft 365", &weeks));
    }
    let title = "Active people".to_owned();
    let description = described(&weeks, &series, Unit::Count);
    let words = ChartText { id: "people", title: &title, description: &description };
    let drawing = (!series.is_empty()).then(|| chart::lines(words, &weeks, &series));
    let table = weekly(&title, &weeks, &series.into_iter().map(|of| (of, Unit::Count)).collect::<Vec<_>>());
    let note = "People who used Copilot in the week.".to_owned();
    Section { id: "people", title, note, drawing, table, query: "week_over_week" }
}

fn segments(answer: &Answer, complete_until: Instant) -> Section {
    let weeks = Weeks::spanning(answer.rows().filter_map(|row| row.day("week_start")), complete_until);
    let newest = weeks.newest().map(|at| weeks.days()[at]);
    let rows: Vec<_> = answer.rows().filter(|row| newest.is_some() && row.day("week_start") == newest).collect();
    let bars = rows.iter().map(|row| Bar {
        name: text(row.text("segment").unwrap_or_default()),
        value: row.number("people"),
        text: Unit::Count.write(row.number("people").unwrap_or_default()),
        note: row.number("people_share").map(|share| Unit::Percent.write(share)).unwrap_or_default(),
    });
    let bars: Vec<_> = bars.collect();
    let title = "Usage segments".to_owned();
    let description = bars.iter().map(|bar| format!("{}: {}", bar.name, bar.text)).collect::<Vec<_>>().join(", ");
    let words = ChartText { id: "segments", title: &title, description: &description };
    let drawing = (!bars.is_empty()).then(|| chart::bars(words, &bars, None));
    let columns = [("week_start", "week of", Unit::Plain), ("segment", "segment", Unit::Plain)];
    let counts = [("people", "people", Unit::Count), ("people_share", "share", Unit::Percent)];
    let table = table_of(&title, answer, &[&columns[..], &counts[..]].concat());
    let note = newest.map_or_else(
        || "Microsoft 365. Segments are of twelve weeks; the lake holds fewer.".to_owned(),
        |week| format!("Microsoft 365: people, by twelve weeks up to that of {}.", week.short()),
    );
    Section { id: "segments", title, note, drawing, table, query: "m365_segments" }
}

/// The rest of the page: what to look into.
pub(super) fn details(figures: &Figures) -> Vec<Section> {
    let table = |id, title: &str, note: &str, query, answer: &Answer, columns: &[(&str, &str, Unit)]| Section {
        id,
        title: title.to_owned(),
        note: note.to_owned(),
        drawing: None,
        table: table_of(title, answer, columns),
        query,
    };
    vec![
        scenario_rates(&figures.scenarios),
        table(
            "sources",
            "Worst-rated knowledge sources",
            "A rating is of the whole answer: a source is not to blame for what it is cited beside.",
            "knowledge_sources",
            &figures.sources,
            &[
                ("title", "source", Unit::Plain),
                ("source", "from", Unit::Plain),
                ("citations", "citations", Unit::Count),
                ("requests", "requests", Unit::Count),
                ("up", "up", Unit::Count),
                ("down", "down", Unit::Count),
                ("net_positive_rate", "net positive", Unit::Percent),
            ],
        ),
        table(
            "health",
            "Extraction health",
            "How far each table was read, and what failed. A window that a later run read counts as healed.",
            "extraction_health",
            &figures.health,
            &[
                ("table_name", "table", Unit::Plain),
                ("done_until", "complete until", Unit::Plain),
                ("lag_hours", "lag", Unit::Hours),
                ("slices_done", "slices done", Unit::Count),
                ("slices_failed", "failed", Unit::Count),
                ("slices_skipped", "skipped", Unit::Count),
                ("scopes_failing", "failing now", Unit::Count),
                ("throttled_seconds", "throttled", Unit::Seconds),
                ("rows_received", "rows", Unit::Count),
                ("rows_rejected", "values rejected", Unit::Count),
                ("last_reason", "last reason", Unit::Plain),
            ],
        ),
        table(
            "payloads",
            "Payloads",
            "What Copilot produced, by how it was decoded.",
            "payload_health",
            &figures.payloads,
            &[
                ("source_table", "table", Unit::Plain),
                ("column_name", "column", Unit::Plain),
                ("status", "status", Unit::Plain),
                ("encoding", "encoding", Unit::Plain),
                ("reason", "reason", Unit::Plain),
                ("payloads", "payloads", Unit::Count),
                ("payload_share", "share of the column", Unit::Percent),
            ],
        ),
    ]
}

fn scenario_rates(answer: &Answer) -> Section {
    let mut scenarios: Vec<(String, [i64; 3])> = Vec::new();
    for row in answer.rows() {
        let counts = ["generated", "rated", "positive"].map(|column| row.count(column));
        let name = scenario(row);
        match scenarios.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => scenarios.push((name, counts)),
        }
    }
    scenarios.sort_by(|(name, counts), (other, of_other)| of_other[1].cmp(&counts[1]).then(name.cmp(other)));
    let rate = |[_, rated, up]: [i64; 3]| (rated > 0).then(|| up as f64 / rated as f64);
    let rated = scenarios.iter().filter_map(|(name, counts)| Some((name, counts, rate(*counts)?)));
    let bars = rated.take(MOST_BARS).map(|(name, counts, rate)| Bar {
        name: text(name),
        value: Some(rate),
        text: Unit::Percent.write(rate),
        note: format!("of {}", Unit::Count.write(counts[1] as f64)),
    });
    let bars: Vec<_> = bars.collect();
    let title = "Net positive rate by scenario".to_owned();
    let described: Vec<_> = bars.iter().map(|bar| format!("{}: {} {}", bar.name, bar.text, bar.note)).collect();
    let words = ChartText { id: "scenario-rates", title: &title, description: &described.join(", ") };
    let drawing = (!bars.is_empty()).then(|| chart::bars(words, &bars, Some(1.0)));
    let columns = [
        ("scenario", Unit::Plain),
        ("responses", Unit::Count),
        ("rated", Unit::Count),
        ("up", Unit::Count),
        ("net positive", Unit::Percent),
    ];
    let rows = scenarios.into_iter().map(|(name, counts)| {
        let counts_of = counts.map(Value::Count);
        [vec![Value::Text(name)], counts_of.into(), vec![Value::of_number(rate(counts))]].concat()
    });
    let table = ReportTable { caption: title.clone(), columns: headings(&columns), rows: rows.collect() };
    let note = "Dynamics 365, all weeks shown; the scenarios with the most ratings.".to_owned();
    Section { id: "scenario-rates", title, note, drawing, table, query: "scenario_funnel" }
}

/// The name of a row's scenario; a code without a label is a name, too.
fn scenario(row: AnswerRow<'_>) -> String {
    let code = || match row.value("scenario") {
        Value::Count(code) => format!("scenario {code}"),
        _ => "unknown scenario".to_owned(),
    };
    row.text("scenario_label").map_or_else(code, str::to_owned)
}

/// Sums by name and week; the largest first, those beyond the first few as one.
fn stacked(rows: impl Iterator<Item = (String, Option<CalendarDay>, i64)>, weeks: &Weeks) -> Vec<Series> {
    let mut sums: Vec<(String, Vec<i64>)> = Vec::new();
    for (name, day, count) in rows {
        let Some(week) = day.and_then(|day| weeks.position(day)) else { continue };
        let at = sums.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            sums.push((name, vec![0; weeks.len()]));
            sums.len() - 1
        });
        sums[at].1[week] += count;
    }
    sums.retain(|(_, counts)| counts.iter().any(|count| *count > 0));
    let total = |counts: &[i64]| counts.iter().sum::<i64>();
    sums.sort_by(|(name, counts), (other, of_other)| total(of_other).cmp(&total(counts)).then(name.cmp(other)));
    if sums.len() > MOST_SERIES + 1 {
        let others = sums.split_off(MOST_SERIES);
        let counts = (0..weeks.len()).map(|week| others.iter().map(|(_, counts)| counts[week]).sum());
        sums.push((format!("{} others", others.len()), counts.collect()));
    }
    let series = |(name, counts): (String, Vec<i64>)| Series {
        name: text(&name),
        values: counts.into_iter().map(|count| Some(count as f64)).collect(),
    };
    sums.into_iter().map(series).collect()
}

/// A chart over weeks in words: from when to when, and the newest complete week.
fn described(weeks: &Weeks, series: &[Series], unit: Unit) -> String {
    let (Some(first), Some(last), Some(newest)) = (weeks.days().first(), weeks.days().last(), weeks.newest()) else {
        return "no rows".to_owned();
    };
    let values = series.iter().map(|of| {
        let value = of.values[newest].map_or_else(|| "nothing known".to_owned(), |value| unit.write(value));
        format!("{} {value}", of.name)
    });
    let values: Vec<_> = values.collect();
    let week = weeks.days()[newest].long();
    format!("Weeks of {} to {}. In the week of {week}: {}.", first.long(), last.long(), values.join(", "))
}

/// Series as the columns of a table, the newest week first.
fn weekly(caption: &str, weeks: &Weeks, series: &[(Series, Unit)]) -> ReportTable {
    let value = |value: Option<f64>, unit| match (value, unit) {
        (Some(value), Unit::Count) => Value::Count(value as i64),
        (value, _) => Value::of_number(value),
    };
    let row = |at: usize| {
        let week = Value::Day(weeks.days()[at]);
        let values = series.iter().map(|(of, unit)| value(of.values[at], *unit));
        std::iter::once(week).chain(values).collect()
    };
    let rows = (0..weeks.len()).rev().map(row).collect();
    let names = series.iter().map(|(of, unit)| ReportColumn::new(of.name.clone(), *unit));
    let columns = std::iter::once(ReportColumn::new("week of", Unit::Plain)).chain(names).collect();
    ReportTable { caption: caption.to_owned(), columns, rows }
}

/// Some columns of an answer, under their headings.
fn table_of(caption: &str, answer: &Answer, columns: &[(&str, &str, Unit)]) -> ReportTable {
    let row = |row: AnswerRow<'_>| columns.iter().map(|(name, ..)| row.value(name).clone()).collect();
    let headings = columns.iter().map(|(_, heading, unit)| ReportColumn::new(*heading, *unit)).collect();
    ReportTable { caption: caption.to_owned(), columns: headings, rows: answer.rows().map(row).collect() }
}

fn headings(columns: &[(&str, Unit)]) -> Vec<ReportColumn> {
    columns.iter().map(|(heading, unit)| ReportColumn::new(*heading, *unit)).collect()
}
