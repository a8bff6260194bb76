//! Lines over weeks, a rate with the counts behind it, and small lines without axes.

use maud::{Markup, html};

use super::end_labels::{EndLabel, end_labels};
use super::frame::PlotArea;
use super::image::{ChartText, image};
use super::scale::Scale;
use super::svg::{Series, class, number, point};
use crate::report::numbers::Unit;
use crate::report::weeks::Weeks;

const HEIGHT: f64 = 220.0;
/// Of the strip of counts below a rate.
const STRIP: f64 = 34.0;

/// Lines of counts, labelled where they end.
pub(in crate::report) fn lines(words: ChartText<'_>, weeks: &Weeks, series: &[Series]) -> Markup {
    let frame = PlotArea::new(weeks, 10.0, HEIGHT - 22.0);
    let largest = series.iter().flat_map(|of| &of.values).flatten().copied().fold(0.0, f64::max);
    let scale = Scale::up_to(largest, frame.range());
    let drawing = html! {
        (frame.value_axis(&scale, Unit::Count))
        (frame.week_axis(weeks))
        (curves(&frame, &scale, weeks, series))
    };
    image(words, HEIGHT, Some(&frame), &drawing)
}

/// A share over weeks, above columns of the numbers that it is a share of.
pub(in crate::report) fn rate_with_counts(
    words: ChartText<'_>,
    weeks: &Weeks,
    rate: &Series,
    counts: &Series,
) -> Markup {
    let bottom = HEIGHT - 22.0;
    let all = PlotArea::new(weeks, 10.0, bottom);
    let upper = PlotArea::new(weeks, 10.0, bottom - STRIP - 12.0);
    let lower = PlotArea::new(weeks, bottom - STRIP, bottom);
    let scale = Scale::ending_at(1.0, upper.range());
    let largest = counts.values.iter().flatten().copied().fold(0.0, f64::max);
    let counts_scale = Scale::ending_at(largest.max(1.0), lower.range());
    let width = lower.step() * 0.82;
    let label = EndLabel { text: counts.name.clone(), height: bottom - STRIP / 2.0, series: 5, is_line: false };
    let drawing = html! {
        (upper.value_axis(&scale, Unit::Percent))
        @for (week, count) in counts.values.iter().enumerate() {
            @let top = counts_scale.at(count.unwrap_or(0.0));
            rect.s5 x=(number(lower.middle(week) - width / 2.0)) y=(number(top)) width=(number(width))
                height=(number(bottom - top)) {}
        }
        text.tick x=(number(lower.left - 6.0)) y=(number(lower.top + 7.0)) text-anchor="end" {
            (Unit::Count.write_short(largest))
        }
        (lower.week_axis(weeks))
        (end_labels(&[label], lower.right, (lower.top, lower.bottom)))
        (curves(&upper, &scale, weeks, std::slice::from_ref(rate)))
    };
    image(words, HEIGHT, Some(&all), &drawing)
}

/// A small line for a card: what the number did before. It says nothing that a table does not.
pub(in crate::report) fn sparkline(values: &[Option<f64>]) -> Markup {
    let largest = values.iter().flatten().copied().fold(0.0, f64::max);
    let scale = Scale::ending_at(if largest > 0.0 { largest } else { 1.0 }, (22.0, 2.0));
    let step = 96.0 / values.len().saturating_sub(1).max(1) as f64;
    let points: Vec<_> = values.iter().enumerate().map(|(at, value)| (2.0 + at as f64 * step, *value)).collect();
    html! {
        svg.spark viewBox="0 0 100 24" aria-hidden="true" {
            path.line.s0 d=(path(&points, &scale)) {}
            @if let Some((x, Some(value))) = points.last() {
                circle.dot.s0 cx=(number(*x)) cy=(number(scale.at(*value))) r="2" {}
            }
        }
    }
}

fn curves(frame: &PlotArea, scale: &Scale, weeks: &Weeks, series: &[Series]) -> Markup {
    let mut labels = Vec::new();
    for (at, of) in series.iter().enumerate() {
        if let Some(value) = of.values.iter().rev().flatten().next() {
            labels.push(EndLabel { text: of.name.clone(), height: scale.at(*value), series: at, is_line: true });
        }
    }
    let points = |of: &Series| -> Vec<(f64, Option<f64>)> {
        of.values.iter().enumerate().map(|(week, value)| (frame.middle(week), *value)).collect()
    };
    html! {
        @for (at, of) in series.iter().enumerate() {
            @let points = points(of);
            path class=(format!("line {}", class(at))) d=(path(&points, scale)) {}
            @for (week, (x, value)) in points.iter().enumerate() {
                @if let Some(value) = value {
                    g class=[(!weeks.is_complete(week)).then_some("open")] { (point(at, *x, scale.at(*value))) }
                }
            }
        }
        (end_labels(&labels, frame.right, (frame.top, frame.bottom)))
    }
}

/// A line through the points; it breaks where there is no value.
fn path(points: &[(f64, Option<f64>)], scale: &Scale) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for (x, value) in points {
        if let Some(value) = value {
            path.push_str(&format!("{}{} {}", if is_down { 'L' } else { 'M' }, number(*x), number(scale.at(*value))));
        }
        is_down = value.is_some();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_where_nothing_is_known() {
        let scale = Scale::ending_at(1.0, (10.0, 0.0));
        let points = [(0.0, Some(0.0)), (1.0, Some(1.0)), (2.0, None), (3.0, Some(0.5))];
        assert_eq!(path(&points, &scale), "M0 10L1 0M3 5");
        assert_eq!(path(&[], &scale), "");
    }
}
