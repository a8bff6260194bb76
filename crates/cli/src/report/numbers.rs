//! RowNumbers as people read them.

use crate::output::wording::grouped;

/// What a number counts, which decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// No number, or text.
    Plain,
    Count,
    /// A share of 1.
    Percent,
    Hours,
    Seconds,
}

impl Unit {
    /// `1,234`, `56.7 %`, `3.5 h`.
    pub(super) fn write(self, number: f64) -> String {
        match self {
            Self::Percent => format!("{} %", tenths(number * 100.0)),
            Self::Hours => format!("{} h", tenths(number)),
            Self::Seconds => format!("{} s", tenths(number)),
            Self::Count => signed_count(number),
            Self::Plain => tenths(number),
        }
    }

    /// The difference of two numbers: `+12`, `−3.4 points`.
    pub(super) fn write_change(self, change: f64) -> String {
        let size = change.abs();
        let text = match self {
            Self::Percent => format!("{} points", tenths(size * 100.0)),
            _ => self.write(size),
        };
        let is_zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
        let sign = if is_zero {
            "±"
        } else if change < 0.0 {
            "−"
        } else {
            "+"
        };
        format!("{sign}{text}")
    }

    /// For the ticks of an axis: `1,200`, `34k`, `5.6M`, `50 %`.
    pub(super) fn write_short(self, number: f64) -> String {
        match self {
            Self::Percent => format!("{:.0} %", number * 100.0),
            _ if number >= 1e6 => format!("{}M", trimmed(number / 1e6)),
            _ if number >= 1e4 => format!("{}k", trimmed(number / 1e3)),
            _ => signed_count(number),
        }
    }
}

fn signed_count(number: f64) -> String {
    let digits = grouped(number.abs().round() as u64);
    if number <= -0.5 { format!("−{digits}") } else { digits }
}

fn tenths(number: f64) -> String {
    let text = format!("{number:.1}");
    if text == "-0.0" { "0.0".to_owned() } else { text.replace('-', "−") }
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        assert_eq!(Unit::Count.write(1234.0), "1,234");
        assert_eq!(Unit::Percent.write(0.8766), "87.7 %");
        assert_eq!(Unit::Percent.write_change(-0.012), "−1.2 points");
        assert_eq!(Unit::Count.write_change(-1200.0), "−1,200");
        assert_eq!([Unit::Count.write_change(0.0), Unit::Percent.write_change(-0.0001)], ["±0", "±0.0 points"]);
        assert_eq!(Unit::Hours.write(3.25), "3.2 h");
        let short: Vec<_> = [0.0, 950.0, 9999.0, 12_500.0, 2e6].map(|number| Unit::Count.write_short(number)).into();
        assert_eq!(short, ["0", "950", "9,999", "12.5k", "2M"]);
    }
}
