//! Days and weeks of the page.

use std::fmt;

use copilot_lake_tables::Instant;

/// The most weeks that the page shows: half a year fits into a chart of the width of a phone.
pub(super) const MOST_WEEKS: i32 = 26;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day, in days since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CalendarDay(pub(super) i32);

impl fmt::Display for CalendarDay {
    /// `2025-06-22`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Instant::from_days(self.0).to_string();
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

impl CalendarDay {
    /// `22 Jun`.
    pub(super) fn short(self) -> String {
        let date = self.to_string();
        let mut parts = date.rsplit('-').filter_map(|part| part.parse::<usize>().ok());
        let (day, month) = (parts.next().unwrap_or(1), parts.next().unwrap_or(1));
        format!("{day} {}", MONTHS[(month - 1) % MONTHS.len()])
    }

    /// `22 Jun 2025`.
    pub(super) fn long(self) -> String {
        let date = self.to_string();
        let year = date.split('-').next().unwrap_or_default();
        format!("{} {year}", self.short())
    }
}

/// `22 Jun 2025, 09:05 UTC`.
pub(super) fn minute(moment: Instant) -> String {
    let text = moment.to_string();
    let time = text.split('T').nth(1).and_then(|time| time.get(..5)).unwrap_or_default();
    format!("{}, {time} UTC", CalendarDay(moment.days()).long())
}

/// Weeks in a row, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weeks {
    days: Vec<CalendarDay>,
    /// How many of them are over and were read to their end.
    complete: usize,
}

impl Weeks {
    /// The weeks from the first to the last of these days, of which those before a moment are complete.
    pub(super) fn spanning(days: impl Iterator<Item = CalendarDay>, complete_until: Instant) -> Self {
        let days: Vec<i32> = days.map(|day| day.0).collect();
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
            return Self { days: Vec::new(), complete: 0 };
        };
        // More are shown by nobody's choice: the queries were given a period.
        let first = *first.max(&(last - 7 * (MOST_WEEKS - 1)));
        let days: Vec<_> = (first..=*last).step_by(7).map(CalendarDay).collect();
        let complete = days.iter().filter(|day| day.0 + 7 <= complete_until.days()).count();
        Self { days, complete }
    }

    pub(super) fn days(&self) -> &[CalendarDay] {
        &self.days
    }

    pub(super) fn len(&self) -> usize {
        self.days.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    pub(super) fn position(&self, day: CalendarDay) -> Option<usize> {
        self.days.iter().position(|of| *of == day)
    }

    pub(super) fn is_complete(&self, at: usize) -> bool {
        at < self.complete
    }

    /// The newest complete week, else the newest.
    pub(super) fn newest(&self) -> Option<usize> {
        self.complete.max(1).checked_sub(1).filter(|at| *at < self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_words() {
        let day = CalendarDay(20_261);
        assert_eq!([day.to_string(), day.short(), day.long()], ["2025-06-22", "22 Jun", "22 Jun 2025"]);
        assert_eq!(minute(Instant::from_seconds(20_261 * 86_400 + 32_700)), "22 Jun 2025, 09:05 UTC");
    }

    #[test]
    fn weeks_have_no_gaps_and_know_which_are_over() {
        let weeks = Weeks::spanning([CalendarDay(20_275), CalendarDay(20_261)].into_iter(), Instant::from_days(20_275));
        assert_eq!(weeks.days(), [CalendarDay(20_261), CalendarDay(20_268), CalendarDay(20_275)]);
        assert_eq!((weeks.newest(), weeks.is_complete(1), weeks.is_complete(2)), (Some(1), true, false));
        assert_eq!(Weeks::spanning(std::iter::empty(), Instant::from_days(0)).newest(), None);
        let one = Weeks::spanning(std::iter::once(CalendarDay(20_261)), Instant::from_days(20_261));
        assert_eq!((one.newest(), one.is_complete(0)), (Some(0), false));
        let many = Weeks::spanning([CalendarDay(0), CalendarDay(7 * 99)].into_iter(), Instant::from_days(0));
        assert_eq!((many.len(), many.days()[25]), (26, CalendarDay(7 * 99)));
    }
}
