//! The area that charts over weeks share: axes, grid and where a week is.

use maud::{Markup, html};

use super::scale::Scale;
use super::svg::number;
use crate::report::numbers::Unit;
use crate::report::weeks::Weeks;

/// Labels of dates that fit side by side.
const MOST_DATES: usize = 5;

/// Where a chart over weeks is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlotArea {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    weeks: usize,
}

impl PlotArea {
    pub(super) fn new(weeks: &Weeks, top: f64, bottom: f64) -> Self {
        Self { left: 44.0, right: 332.0, top, bottom, weeks: weeks.len() }
    }

    /// The width of a week.
    pub(super) fn step(&self) -> f64 {
        // A few weeks do not become walls.
        ((self.right - self.left) / self.weeks.max(1) as f64).min(72.0)
    }

    /// The middle of a week. The newest is at the right, beside its labels.
    pub(super) fn middle(&self, week: usize) -> f64 {
        self.right - self.step() * ((self.weeks - week) as f64 - 0.5)
    }

    /// For the script: the left edge of the first week, and the width of each.
    pub(super) fn place(&self) -> String {
        format!("{} {}", number(self.right - self.step() * self.weeks as f64), self.step())
    }

    /// From 0 at the bottom.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.bottom, self.top)
    }

    /// Lines and numbers of the values.
    pub(super) fn value_axis(&self, scale: &Scale, unit: Unit) -> Markup {
        html! {
            @for tick in scale.ticks() {
                path.rule d=(format!("M{} {}H{}", number(self.left), number(scale.at(tick)), number(self.right))) {}
                text.tick x=(number(self.left - 6.0)) y=(number(scale.at(tick) + 3.5)) text-anchor="end" {
                    (unit.write_short(tick))
                }
            }
        }
    }

    /// Dates below the weeks: the newest, and others as far apart as their labels need.
    pub(super) fn week_axis(&self, weeks: &Weeks) -> Markup {
        let apart = self.weeks.div_ceil(MOST_DATES).max(1);
        html! {
            @for (at, day) in weeks.days().iter().enumerate().filter(|(at, _)| (self.weeks - 1 - at).is_multiple_of(apart)) {
                path.axis d=(format!("M{} {}v4", number(self.middle(at)), number(self.bottom))) {}
                text.tick x=(number(self.middle(at))) y=(number(self.bottom + 16.0)) text-anchor="middle" { (day.short()) }
            }
            path.axis d=(format!("M{} {}H{}", number(self.left), number(self.bottom), number(self.right))) {}
        }
    }
}
