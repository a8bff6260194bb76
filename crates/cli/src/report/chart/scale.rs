//! From values to coordinates.

/// Values from 0 to a round number, over a stretch of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) end: f64,
    step: f64,
    /// The coordinate of 0 and of `end`.
    range: (f64, f64),
}

impl Scale {
    /// A scale that ends at the first tick that is not below the largest value.
    pub(super) fn up_to(largest: f64, range: (f64, f64)) -> Self {
        let largest = if largest.is_finite() { largest.max(0.0) } else { 0.0 };
        let step = round_step(largest / 4.0);
        let end = (largest / step).ceil().max(1.0) * step;
        Self { end, step, range }
    }

    /// A scale that ends there, with four steps.
    pub(super) fn ending_at(end: f64, range: (f64, f64)) -> Self {
        Self { end, step: end / 4.0, range }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let (start, end) = self.range;
        start + (end - start) * (value / self.end).clamp(0.0, 1.0)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as u32;
        let step = self.step;
        (0..=count).map(move |tick| f64::from(tick) * step)
    }
}

/// The smallest of 1, 2, 5, 10, 20 and so on that is not below this: ticks of counts are whole.
fn round_step(least: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for digit in [1.0, 2.0, 5.0] {
            if digit * power >= least {
                return digit * power;
            }
        }
        power *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_largest_value() {
        for (largest, end, count) in
            [(0.0, 1.0, 2), (1.0, 1.0, 2), (3.0, 3.0, 4), (326.0, 400.0, 5), (401.0, 600.0, 4), (1e6, 1e6, 3)]
        {
            let scale = Scale::up_to(largest, (200.0, 10.0));
            let ticks: Vec<_> = scale.ticks().collect();
            assert_eq!((scale.end, ticks.len()), (end, count), "{largest}: {ticks:?}");
        }
        assert!(Scale::up_to(f64::INFINITY, (0.0, 1.0)).end <= 1.0);
    }

    #[test]
    fn values_stay_within_the_range() {
        let scale = Scale::up_to(100.0, (200.0, 0.0));
        assert_eq!([0.0, 50.0, 100.0, 1e9, -5.0].map(|value| scale.at(value)), [200.0, 100.0, 0.0, 0.0, 200.0]);
        assert_eq!(Scale::ending_at(1.0, (0.0, 4.0)).ticks().collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }
}
