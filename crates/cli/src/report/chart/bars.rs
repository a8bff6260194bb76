//! Horizontal bars with their names and numbers: stages of a funnel, segments, scenarios.

use maud::{Markup, html};

use super::image::{ChartText, image};
use super::scale::Scale;
use super::svg::{WIDTH, number};
use crate::report::table::clipped;

/// Of a bar and the space below it.
const LINE: f64 = 30.0;
const NAMES: f64 = 158.0;
const NUMBERS: f64 = 112.0;

/// Characters of a name that fit beside its bar.
const MOST_CHARACTERS: usize = 23;

/// A bar.
#[derive(Clone, Debug)]
pub(in crate::report) struct Bar {
    pub(in crate::report) name: String,
    /// Its length; none is no bar at all.
    pub(in crate::report) value: Option<f64>,
    /// The number as it is written, and what stands behind it.
    pub(in crate::report) text: String,
    pub(in crate::report) note: String,
}

/// Bars below each other; the end of the scale is given, or it is the longest bar.
pub(in crate::report) fn bars(words: ChartText<'_>, rows: &[Bar], end: Option<f64>) -> Markup {
    let largest = rows.iter().filter_map(|bar| bar.value).fold(0.0, f64::max);
    let end = end.unwrap_or(if largest > 0.0 { largest } else { 1.0 });
    let scale = Scale::ending_at(end, (NAMES, WIDTH - NUMBERS));
    let drawing = html! {
        @for (at, bar) in rows.iter().enumerate() {
            @let top = 6.0 + at as f64 * LINE;
            text.label x=(number(NAMES - 8.0)) y=(number(top + 15.0)) text-anchor="end" {
                (clipped(&bar.name, MOST_CHARACTERS))
            }
            rect.track x=(number(NAMES)) y=(number(top)) width=(number(WIDTH - NUMBERS - NAMES)) height="22" {}
            @let width = scale.at(bar.value.unwrap_or(0.0)) - NAMES;
            @if width > 0.0 {
                rect.s0 x=(number(NAMES)) y=(number(top)) width=(number(width.max(1.0))) height="22" {}
            }
            text.label x=(number(WIDTH - NUMBERS + 8.0)) y=(number(top + 15.0)) {
                tspan.strong { (bar.text) }
                @if !bar.note.is_empty() { " " tspan.dim { (bar.note) } }
            }
        }
    };
    image(words, 8.0 + rows.len() as f64 * LINE, None, &drawing)
}
