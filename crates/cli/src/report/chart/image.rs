//! The element around a drawing.

use maud::{Markup, html};

use super::frame::PlotArea;
use super::svg::{WIDTH, number};

/// What a chart is called, and says in a sentence or two, for those who do not see it.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct ChartText<'a> {
    pub(in crate::report) id: &'a str,
    pub(in crate::report) title: &'a str,
    pub(in crate::report) description: &'a str,
}

/// A drawing as an image with title and description; over weeks, the script may point at one of them.
pub(super) fn image(words: ChartText<'_>, height: f64, weeks: Option<&PlotArea>, drawing: &Markup) -> Markup {
    let (title, description) = (format!("{}-title", words.id), format!("{}-desc", words.id));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", number(height))) role="img"
            aria-labelledby=(format!("{title} {description}")) data-place=[weeks.map(PlotArea::place)] {
            title id=(title) { (words.title) }
            desc id=(description) { (words.description) }
            (drawing)
            @if let Some(frame) = weeks {
                rect.cursor x="0" y=(number(frame.top)) width="1" height=(number(frame.bottom - frame.top)) {}
            }
            // Without a text of its own the browser would show the chart's title over everything.
            rect.hit x="0" y="0" width=(WIDTH) height=(number(height)) { title {} }
        }
    }
}
