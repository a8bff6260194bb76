//! Moments as people write them: a UTC date, an instant, or an age; and the deadline of a run.

use copilot_lake_tables::Instant;

use super::duration;
#[cfg(feature = "query")]
use crate::problem::{Problem, usage};

/// What a moment looks like, for messages.
pub(crate) const FORM: &str = "a UTC date such as `2025-06-22`, an instant such as `2025-06-22T09:00:00Z`, \
                               or an age such as `7d`";

/// What a deadline looks like, for messages.
pub(crate) const DEADLINE_FORM: &str = "a duration such as `2h`, a UTC clock time such as `06:00`, \
                                        or an instant such as `2025-06-22T06:00:00Z`";

/// The current time of this machine, whole seconds.
pub(crate) fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Instant::from_seconds(since.as_secs() as i64)
}

/// The time of an output: what SOURCE_DATE_EPOCH says, so that equal lakes give equal bytes; else the current time.
#[cfg(feature = "query")]
pub(crate) fn written_at(source_date_epoch: Option<&str>) -> Result<Instant, Problem> {
    let Some(text) = source_date_epoch else { return Ok(now()) };
    let seconds = text.parse::<i64>().ok().filter(|seconds| (0..253_402_300_800).contains(seconds));
    let refused = || usage("SOURCE_DATE_EPOCH is not a number of seconds since 1970".to_owned());
    seconds.map(Instant::from_seconds).ok_or_else(|| refused().hint("`date +%s` prints one; or leave it unset"))
}

/// Reads a date (its midnight), an instant, or an age before `now`.
pub(crate) fn parse(text: &str, now: Instant) -> Option<Instant> {
    let text = text.trim();
    Instant::parse(text).or_else(|| shift(now, text, -1))
}

/// Reads a duration from `now`, the next time that a UTC clock shows `hh:mm[:ss][Z]`, or an instant.
pub(crate) fn deadline(text: &str, now: Instant) -> Option<Instant> {
    let text = text.trim();
    if let Some(instant) = Instant::parse(text).or_else(|| shift(now, text, 1)) {
        return Some(instant);
    }
    let clock = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let day = Instant::from_days(now.days());
    // Parsing it as an instant validates the time of day.
    let of_day = Instant::parse(&format!("1970-01-01T{clock}{seconds}Z"))?;
    let today = Instant(day.0 + of_day.0);
    Some(if today > now { today } else { today.plus_seconds(86_400) })
}

fn shift(now: Instant, text: &str, sign: i64) -> Option<Instant> {
    let seconds = i64::try_from(duration::parse(text)?.as_secs()).ok()?;
    // Anything beyond a thousand years is a typing error.
    (seconds < 1_000 * 366 * 86_400).then(|| now.plus_seconds(sign * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    #[test]
    fn dates_instants_and_ages() {
        let now = at("2025-06-25T10:00:00Z");
        assert_eq!(parse("2025-06-22", now), Some(at("2025-06-22T00:00:00Z")));
        assert_eq!(parse("2025-06-22T02:00:00+02:00", now), Some(at("2025-06-22T00:00:00Z")));
        assert_eq!(parse("7d", now), Some(at("2025-06-18T10:00:00Z")));
        assert_eq!(parse("0s", now), Some(now));
        for text in ["", "yesterday", "2025-13-01", "2025-06-22T09:00:00", "22.06.2025", "9999999d", "-7d"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }

    #[test]
    fn deadlines_lie_ahead() {
        let now = at("2025-06-25T10:00:00Z");
        assert_eq!(deadline("2h", now), Some(at("2025-06-25T12:00:00Z")));
        assert_eq!(deadline("12:30", now), Some(at("2025-06-25T12:30:00Z")));
        assert_eq!(deadline("06:00", now), Some(at("2025-06-26T06:00:00Z")));
        assert_eq!(deadline("10:00:00Z", now), Some(at("2025-06-26T10:00:00Z")));
        assert_eq!(deadline("2025-06-25T11:00:00Z", now), Some(at("2025-06-25T11:00:00Z")));
        for text in ["", "24:00", "6", "6:00", "soon", "06:00+02:00"] {
            assert_eq!(deadline(text, now), None, "{text}");
        }
    }
}
