//! Durations as people write them: `0s`, `90s`, `1h`, `7d`, `1h30m`.

use std::time::Duration;

/// What a duration looks like, for messages.
pub(crate) const FORM: &str = "a duration such as `90s`, `1h` or `7d`";

const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// Reads one or more whole numbers, each with its unit: `s`, `m`, `h`, `d` or `w`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = UNITS.iter().find(|unit| unit.0 == &rest[..letters])?;
        seconds = seconds.checked_add(number.checked_mul(unit.1)?)?;
        rest = &rest[letters..];
    }
    Some(Duration::from_secs(seconds))
}

/// The duration in the form that [`parse`] reads: the largest unit that it is a whole number of.
pub(crate) fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS[..4].iter().rev().find(|unit| seconds >= unit.1 && seconds.is_multiple_of(unit.1));
    unit.map_or_else(|| format!("{seconds}s"), |(name, length)| format!("{}{name}", seconds / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_with_units() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("1w", 604_800), ("1h30m", 5400)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "1 h", "-1h", "1.5h", "1y", "99999999999999999999d", "9999999999999999999w", "1hé"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["0s", "90s", "5m", "1h", "7d", "25h"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }
}
