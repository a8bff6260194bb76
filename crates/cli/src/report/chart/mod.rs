//! Charts as inline SVG, drawn when the page is written. Colours are classes: the style decides them, for light and dark.
//!
//! No chart says anything by colour alone: series are labelled where they end, stacks keep one order, and lines differ in
//! their points.

mod bars;
mod columns;
mod end_labels;
mod frame;
mod image;
mod lines;
mod scale;
mod svg;

pub(super) use bars::{Bar, bars};
pub(super) use columns::columns;
pub(super) use image::ChartText;
pub(super) use lines::{lines, rate_with_counts, sparkline};
pub(super) use svg::Series;
