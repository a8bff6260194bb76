//! Stacked columns, one per week.

use maud::{Markup, html};

use super::end_labels::{EndLabel, end_labels};
use super::frame::PlotArea;
use super::image::{ChartText, image};
use super::scale::Scale;
use super::svg::{Series, class, number};
use crate::report::numbers::Unit;
use crate::report::weeks::Weeks;

const HEIGHT: f64 = 220.0;

/// Columns of counts: the first series is at the bottom. A week that is not complete is hatched.
pub(in crate::report) fn columns(words: ChartText<'_>, weeks: &Weeks, series: &[Series]) -> Markup {
    let frame = PlotArea::new(weeks, 10.0, HEIGHT - 22.0);
    let value = |series: &Series, week: usize| series.values[week].unwrap_or(0.0).max(0.0);
    let height = |week| series.iter().map(|of| value(of, week)).sum::<f64>();
    let largest = (0..weeks.len()).map(height).fold(0.0, f64::max);
    let scale = Scale::up_to(largest, frame.range());
    let width = frame.step() * 0.82;
    let mut labels = Vec::new();
    let mut rectangles = Vec::new();
    for week in 0..weeks.len() {
        let mut below = 0.0;
        for (at, of) in series.iter().enumerate() {
            let above = below + value(of, week);
            let (low, high) = (scale.at(below), scale.at(above));
            if above > below {
                rectangles.push((at, frame.middle(week) - width / 2.0, high, low - high));
            }
            if week + 1 == weeks.len() {
                let height = f64::midpoint(low, high);
                labels.push(EndLabel { text: of.name.clone(), height, series: at, is_line: false });
            }
            below = above;
        }
    }
    let drawing = html! {
        (frame.value_axis(&scale, Unit::Count))
        @for (series, x, y, height) in rectangles {
            rect class=(class(series)) x=(number(x)) y=(number(y)) width=(number(width)) height=(number(height)) {}
        }
        @for week in (0..weeks.len()).filter(|week| !weeks.is_complete(*week)) {
            rect.unfinished x=(number(frame.middle(week) - width / 2.0)) y=(number(scale.at(height(week))))
                width=(number(width)) height=(number(frame.bottom - scale.at(height(week)))) {}
        }
        (frame.week_axis(weeks))
        (end_labels(&labels, frame.right, (frame.top, frame.bottom)))
    };
    image(words, HEIGHT, Some(&frame), &drawing)
}
