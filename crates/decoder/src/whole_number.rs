//! JSON numbers as whole numbers.

/// Parses a JSON number as an integer of 64 bits, exactly: `5`, `5.0`, `50e-1` and `5e0` are equal.
pub(crate) fn whole_number(raw: &str) -> Option<i64> {
    if let Ok(value) = raw.parse() {
        return Some(value);
    }
    let (is_negative, number) = raw.strip_prefix('-').map_or((false, raw), |number| (true, number));
    // Among JSON values only numbers begin like this, so the rest is well-formed.
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Number of zeros after the last significant digit.
    let zeros = (digits.len() - significant.len()) as i64 - fraction.len() as i64;
    let zeros = u32::try_from(exponent.parse::<i64>().ok()?.checked_add(zeros)?).ok()?;
    let value = significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)?;
    i64::try_from(if is_negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn numbers_are_read_exactly() {
        for (number, expected) in [
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("-92233720368547758.08e2", Some(i64::MIN)),
            ("-9223372036854775809.0", None),
            ("100e-2", Some(1)),
            ("1.50E+1", Some(15)),
            ("1.5", None),
            ("1e-1", None),
            ("true", None),
            ("\"5.0\"", None),
            ("[1.0]", None),
            ("", None),
        ] {
            assert_eq!(whole_number(number), expected, "{number}");
        }
        let zeros = "0".repeat(300);
        assert_eq!(whole_number(&format!("7{zeros}e-300")), Some(7));
        assert_eq!(whole_number(&format!("0.{zeros}7e301")), Some(7));
        assert_eq!(whole_number(&format!("7{zeros}")), None);
        assert_eq!(whole_number(&format!("7.{zeros}1")), None);
    }
}
