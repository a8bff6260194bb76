//! Labels at the right of a chart, each beside what it names.

use maud::{Markup, html};

use super::svg::{class, number, point};
use crate::report::table::clipped;

/// Lines of text need this much.
const LINE: f64 = 15.0;

/// Characters that fit beside a chart.
const MOST_CHARACTERS: usize = 21;

/// A label: what it says, and where it would best stand.
pub(super) struct EndLabel {
    pub(super) text: String,
    pub(super) height: f64,
    pub(super) series: usize,
    /// Whether the series has points that are squares.
    pub(super) is_line: bool,
}

/// Draws labels to the right of this place, moved apart where they would cover each other.
pub(super) fn end_labels(labels: &[EndLabel], right: f64, (top, bottom): (f64, f64)) -> Markup {
    let wanted: Vec<f64> = labels.iter().map(|label| label.height).collect();
    let places = spread(&wanted, top, bottom);
    html! {
        @for (label, place) in labels.iter().zip(places) {
            path.lead d=(format!("M{} {}L{} {}", number(right + 1.0), number(label.height), number(right + 10.0), number(place))) {}
            @if label.is_line {
                (point(label.series, right + 14.0, place))
            } @else {
                rect class=(class(label.series)) x=(number(right + 10.0)) y=(number(place - 4.0)) width="8" height="8" {}
            }
            text.label x=(number(right + 22.0)) y=(number(place + 4.0)) { (clipped(&label.text, MOST_CHARACTERS)) }
        }
    }
}

/// Heights a line apart, as near to the wanted ones as their order and the area allow.
fn spread(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(b.cmp(a)));
    let mut places = wanted.to_vec();
    let mut least = top;
    for at in &order {
        places[*at] = places[*at].max(least);
        least = places[*at] + LINE;
    }
    let mut most = bottom;
    for at in order.iter().rev() {
        places[*at] = places[*at].min(most);
        most = places[*at] - LINE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_a_line_between_them() {
        assert_eq!(spread(&[20.0, 100.0], 10.0, 200.0), [20.0, 100.0]);
        assert_eq!(spread(&[198.0, 199.0, 200.0], 10.0, 200.0), [170.0, 185.0, 200.0]);
        assert_eq!(spread(&[0.0, 1.0], 10.0, 200.0), [10.0, 25.0]);
        // Series of one height: the later one is above, as in a stack.
        assert_eq!(spread(&[200.0, 200.0], 10.0, 200.0), [200.0, 185.0]);
        assert!(spread(&[], 0.0, 1.0).is_empty());
    }
}
