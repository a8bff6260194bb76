//! Numbers, lists and paths in words.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2,000 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A path for a shell, quoted if it has special characters.
#[cfg(any(feature = "demo", test))]
pub(crate) fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '%' | '+' | ':' | '\\');
    if !path.is_empty() && path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

/// Bytes in the largest unit that keeps at least one digit before the point.
pub(crate) fn bytes(number: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

/// Seconds as `0.4 s`, `59 s`, `12 min`, `3 h 20 min`.
pub(crate) fn seconds(number: f64) -> String {
    let whole = number.round() as u64;
    match whole {
        0..10 => format!("{number:.1} s"),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "row"), counted(2000, "row")], ["1 row", "2,000 rows"]);
        assert_eq!([listed(&["a"]), listed(&["a", "b", "c"])], ["a", "a, b and c"]);
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(["../a_b", "a b's"].map(quoted), ["../a_b", "'a b'\\''s'"]);
        assert_eq!([0.44, 59.0, 130.0, 12_000.0].map(seconds), ["0.4 s", "59 s", "2 min", "3 h 20 min"]);
    }
}
