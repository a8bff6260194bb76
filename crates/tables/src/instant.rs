//! Instants: microseconds since 1970-01-01T00:00:00Z, and their text forms.

use std::fmt;

/// A point in time: microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Instant {
    /// Seconds of a day.
    pub const DAY_SECONDS: i64 = 86_400;

    /// Seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Midnight UTC at the start of that day, in days since the Unix epoch.
    pub const fn from_days(days: i32) -> Self {
        Self(days as i64 * DAY)
    }

    /// The day it lies in, in days since the Unix epoch.
    pub const fn days(self) -> i32 {
        self.0.div_euclid(DAY) as i32
    }

    /// The instant at the start of its second: what the services' filters can express.
    pub const fn floor_second(self) -> Self {
        Self(self.0.div_euclid(SECOND) * SECOND)
    }

    /// The first whole second not before it.
    pub const fn ceil_second(self) -> Self {
        Self(self.0.div_euclid(SECOND) * SECOND + if self.0.rem_euclid(SECOND) == 0 { 0 } else { SECOND })
    }

    /// That many seconds later (earlier when negative).
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * SECOND)
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`: 0 to 9 fraction digits (cut to microseconds), any offset.
    ///
    /// A bare date `YYYY-MM-DD` is its midnight UTC. A time without a zone is refused: it names no instant.
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        if b.len() < 10 || b[4] != b'-' || b[7] != b'-' {
            return None;
        }
        let days = days_from_civil(digits(&b[0..4])?, digits(&b[5..7])?, digits(&b[8..10])?)?;
        if b.len() == 10 {
            return Some(Self::from_days(days));
        }
        if b.len() < 20 || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':' {
            return None;
        }
        let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut at = 19;
        let mut micros = 0;
        if b[at] == b'.' {
            let fraction = b[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
            if fraction == 0 || fraction > 9 {
                return None;
            }
            for place in 0..6 {
                let digit = if place < fraction { i64::from(b[at + 1 + place] - b'0') } else { 0 };
                micros = micros * 10 + digit;
            }
            at += 1 + fraction;
        }
        let offset = match b.get(at..)? {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), rest @ ..] => {
                let (hours, minutes) = match rest {
                    [h1, h2, b':', m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
                    [h1, h2, m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
                    _ => return None,
                };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = i64::from(hours * 3600 + minutes * 60);
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        let of_day = i64::from(hour * 3600 + minute * 60 + second) - offset;
        Some(Self(i64::from(days) * DAY + of_day * SECOND + micros))
    }
}

impl fmt::Display for Instant {
    /// `2025-06-22T00:00:00Z`, with a fraction only where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.0.rem_euclid(DAY);
        let (seconds, micros) = (of_day / SECOND, of_day % SECOND);
        write_date(f, self.days())?;
        let mut time = *b"T00:00:00.000000";
        put(&mut time[1..3], seconds / 3600);
        put(&mut time[4..6], seconds / 60 % 60);
        put(&mut time[7..9], seconds % 60);
        put(&mut time[10..], micros);
        f.write_str(ascii(if micros == 0 { &time[..9] } else { &time }))?;
        f.write_str("Z")
    }
}

/// Writes days since the Unix epoch as `YYYY-MM-DD`.
pub(crate) fn write_date(f: &mut fmt::Formatter<'_>, days: i32) -> fmt::Result {
    let (year, month, day) = civil_from_days(days);
    if !(0..=9_999).contains(&year) {
        return write!(f, "{year:04}-{month:02}-{day:02}");
    }
    let mut date = *b"0000-00-00";
    put(&mut date[..4], year.into());
    put(&mut date[5..7], month.into());
    put(&mut date[8..], day.into());
    f.write_str(ascii(&date))
}

/// Writes a number into digits, which it must not exceed: several times as fast as formatting it, and dates are in every
/// row.
fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn ascii(text: &[u8]) -> &str {
    str::from_utf8(text).unwrap_or_default()
}

pub(crate) fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i32::from(c - b'0')))
}

/// Days since the Unix epoch of a date in the proleptic Gregorian calendar; `None` for a date that does not exist.
pub(crate) fn days_from_civil(year: i32, month: i32, day: i32) -> Option<i32> {
    const LENGTHS: [i32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || day < 1 || day > LENGTHS[month as usize - 1] {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if month == 2 && day == 29 && !leap {
        return None;
    }
    // Years that begin in March put the leap day last; an era is 400 of them.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The date of a day since the Unix epoch.
fn civil_from_days(days: i32) -> (i32, i32, i32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i32::from(month <= 2), month, day)
}
