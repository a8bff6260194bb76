//! Weeks: Sunday 00:00 UTC to Saturday, named by their first day.

use std::fmt;

use crate::instant::{Instant, days_from_civil, digits, write_date};

/// A week from Sunday 00:00 UTC to Saturday: the partition of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(i32);

impl Week {
    /// 1970-01-04, the week of rows without a usable time.
    pub const UNKNOWN: Self = Self(3);

    /// The week that a day lies in, given in days since the Unix epoch.
    pub const fn of_day(days: i32) -> Self {
        // 1970-01-04 was a Sunday.
        Self(days - (days - 3).rem_euclid(7))
    }

    /// The week that an instant lies in.
    pub const fn of(instant: Instant) -> Self {
        Self::of_day(instant.days())
    }

    /// The week that a `partitionid` such as `20250622-20250628-100230203` begins with; `None` for every other shape.
    ///
    /// A first date that is not a Sunday belongs to the week it lies in.
    pub fn from_partition_id(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        if b.len() < 18 || b[8] != b'-' || b[17] != b'-' {
            return None;
        }
        let date = |b: &[u8]| days_from_civil(digits(&b[0..4])?, digits(&b[4..6])?, digits(&b[6..8])?);
        date(&b[9..17])?;
        date(&b[0..8]).map(Self::of_day)
    }

    /// Reads the partition value `YYYY-MM-DD`; a day that is not a Sunday belongs to the week it lies in.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 10).then(|| Instant::parse(text)).flatten().map(Self::of)
    }

    /// Its first day, in days since the Unix epoch: the value of a `Date32`.
    pub const fn start_days(self) -> i32 {
        self.0
    }

    /// Sunday 00:00 UTC.
    pub const fn start(self) -> Instant {
        Instant::from_days(self.0)
    }

    /// The start of the next week: weeks are half-open.
    pub const fn end(self) -> Instant {
        Instant::from_days(self.0 + 7)
    }

    /// The following week.
    pub const fn next(self) -> Self {
        Self(self.0 + 7)
    }
}

impl fmt::Display for Week {
    /// The partition value: `2025-06-22`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_date(f, self.0)
    }
}
