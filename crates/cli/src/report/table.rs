//! Tables of the page: what stands behind a chart, and what is no chart.

use maud::{Markup, html};

use super::answer::Value;
use super::numbers::Unit;
use super::weeks::minute;
use crate::output::printable::cleaned;

/// The longest text of a cell, in characters.
const MOST_CHARACTERS: usize = 300;

/// A column: its heading, and how its numbers are written.
#[derive(Clone, Debug)]
pub(super) struct ReportColumn {
    pub(super) heading: String,
    pub(super) unit: Unit,
}

impl ReportColumn {
    pub(super) fn new(heading: impl Into<String>, unit: Unit) -> Self {
        Self { heading: heading.into(), unit }
    }
}

/// Rows below headings. The first column names the row.
#[derive(Clone, Debug)]
pub(super) struct ReportTable {
    pub(super) caption: String,
    pub(super) columns: Vec<ReportColumn>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl ReportTable {
    pub(super) fn draw(&self) -> Markup {
        let class = |unit: Unit| (unit != Unit::Plain).then_some("n");
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead { tr {
                        @for column in &self.columns {
                            th class=[class(column.unit)] scope="col" { (text(&column.heading)) }
                        }
                    } }
                    tbody {
                        @for row in &self.rows { tr {
                            @for (at, (value, column)) in row.iter().zip(&self.columns).enumerate() {
                                @if at == 0 {
                                    th scope="row" data-v=[sort_key(value)] { (cell(value, column.unit)) }
                                } @else {
                                    td class=[class(column.unit)] data-v=[sort_key(value)] { (cell(value, column.unit)) }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn cell(value: &Value, unit: Unit) -> Markup {
    html! {
        @match value {
            Value::Null => { "–" }
            Value::Text(words) => { bdi { (text(words)) } }
            Value::Count(count) => { (unit.write(*count as f64)) }
            Value::Number(number) => { (unit.write(*number)) }
            Value::Day(day) => { (day) }
            Value::Moment(moment) => { (minute(*moment)) }
        }
    }
}

/// What a script sorts by, where it is not the text.
fn sort_key(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Count(count) => Some(count.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Moment(moment) => Some(moment.0.to_string()),
        Value::Text(_) | Value::Day(_) => None,
    }
}

/// Somebody's text on one line, without characters that reorder others, and not longer than a cell may be.
pub(super) fn text(words: &str) -> String {
    clipped(&cleaned(words), MOST_CHARACTERS)
}

/// The first characters of a text, with an ellipsis where more follow.
pub(super) fn clipped(words: &str, most: usize) -> String {
    match words.char_indices().nth(most) {
        None => words.to_owned(),
        Some(_) => {
            let kept: String = words.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}
