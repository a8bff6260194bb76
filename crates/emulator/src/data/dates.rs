//! Dates as text, cached per day: rows of one day come together.

use std::io::Write;

use copilot_lake_tables::{Instant, Week};

/// The text of the last day and week that were written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dates {
    day: Option<i64>,
    date: String,
    week: Option<Week>,
    span: String,
}

const DAY: i64 = 86_400;

impl Dates {
    /// Appends `2025-06-22T08:00:34Z`, given in seconds since the Unix epoch.
    pub(crate) fn instant(&mut self, out: &mut Vec<u8>, seconds: i64) {
        let day = seconds.div_euclid(DAY);
        if self.day != Some(day) {
            self.day = Some(day);
            self.date = date(day as i32);
        }
        let of_day = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        // Writing to memory cannot fail.
        let _ = write!(out, "{}T{hour:02}:{minute:02}:{second:02}Z", self.date);
    }

    /// Appends `20250622-20250628-100230203`: first and last day of the week, then the scenario.
    pub(crate) fn partition(&mut self, out: &mut Vec<u8>, seconds: i64, scenario: i32) {
        let week = Week::of(Instant::from_seconds(seconds));
        if self.week != Some(week) {
            let day = |days| date(days).replace('-', "");
            self.week = Some(week);
            self.span = format!("{}-{}-", day(week.start_days()), day(week.start_days() + 6));
        }
        out.extend_from_slice(self.span.as_bytes());
        out.extend_from_slice(scenario.to_string().as_bytes());
    }
}

/// `2025-06-22`, given in days since the Unix epoch.
fn date(days: i32) -> String {
    let mut text = Instant::from_days(days).to_string();
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::Instant;

    use super::Dates;

    #[test]
    fn dates_are_those_of_the_instant() {
        let mut dates = Dates::default();
        for text in ["2025-06-22T08:00:34Z", "2025-06-22T23:59:59Z", "1969-12-31T00:00:00Z", "2024-02-29T12:34:56Z"] {
            let mut out = Vec::new();
            dates.instant(&mut out, Instant::parse(text).unwrap().0.div_euclid(1_000_000));
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        dates.partition(&mut out, Instant::parse("2025-06-28T23:59:59Z").unwrap().0 / 1_000_000, 100_230_203);
        assert_eq!(out, b"20250622-20250628-100230203");
    }
}
