//! What every drawing needs: numbers, classes, points.

use maud::{Markup, html};

/// What a chart shows of one thing, a value per week.
#[derive(Clone, Debug)]
pub(in crate::report) struct Series {
    pub(in crate::report) name: String,
    pub(in crate::report) values: Vec<Option<f64>>,
}

/// Every chart is as wide as this; the page scales it.
pub(super) const WIDTH: f64 = 480.0;

/// A coordinate, with no more digits than can be seen.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The class of a series: its colour.
pub(super) fn class(series: usize) -> String {
    format!("s{}", series.min(5))
}

/// A point of a line: round, square or a diamond, so that lines differ without their colours.
pub(super) fn point(series: usize, x: f64, y: f64) -> Markup {
    let class = format!("dot {}", class(series));
    html! {
        @match series % 3 {
            0 => { circle class=(class) cx=(number(x)) cy=(number(y)) r="2.6" {} }
            1 => { rect class=(class) x=(number(x - 2.4)) y=(number(y - 2.4)) width="4.8" height="4.8" {} }
            _ => { path class=(class) d=(format!("M{} {}l3 3l-3 3l-3 -3z", number(x), number(y - 3.0))) {} }
        }
    }
}
