//! JSON numbers as decimals of 38 digits, 12 of them after the point.
//!
//! Arrow's own parser overflows on long numbers and large exponents.

/// Digits after the point.
const SCALE: i64 = 12;
/// The first value that does not fit into 38 digits.
const TOO_LARGE: i128 = 10_i128.pow(38);

/// Parses a JSON number, rounding half away from zero; `None` if it is not a number or does not fit.
pub(crate) fn parse(number: &str) -> Option<i128> {
    let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    // Among JSON values only numbers begin like this, so the rest is well-formed.
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Exponents beyond 32 bits saturate.
    let is_small = exponent.starts_with('-');
    let exponent = exponent.parse::<i32>().unwrap_or(if is_small { i32::MIN } else { i32::MAX });
    let digits = whole.bytes().chain(fraction.bytes()).map(|digit| i128::from(digit.wrapping_sub(b'0')));
    let count = (whole.len() + fraction.len()) as i64;
    // Number of digits up to the last decimal place.
    let kept = whole.len() as i64 + i64::from(exponent) + SCALE;
    let mut value = 0_i128;
    for (at, digit) in (0..).zip(digits) {
        if at < kept {
            value = value.checked_mul(10)?.checked_add(digit)?;
        } else {
            value = value.checked_add(i128::from(at == kept && digit >= 5))?;
            break;
        }
    }
    for _ in count..kept {
        if value == 0 {
            break;
        }
        value = value.checked_mul(10)?;
    }
    (value < TOO_LARGE).then_some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_read_exactly() {
        let one = 1_000_000_000_000;
        let cases = [
            ("0", Some(0)),
            ("-0.0e5", Some(0)),
            ("1", Some(one)),
            ("-12.5", Some(-12_500_000_000_000)),
            ("12.5e1", Some(125 * one)),
            ("1E+3", Some(1_000 * one)),
            ("125e-2", Some(1_250_000_000_000)),
            ("0.000000000001", Some(1)),
            ("0.0000000000004", Some(0)),
            ("0.0000000000005", Some(1)),
            ("-0.0000000000005", Some(-1)),
            ("5e-13", Some(1)),
            ("5e-14", Some(0)),
            ("99999999999999999999999999", Some(99_999_999_999_999_999_999_999_999 * one)),
            ("100000000000000000000000000", None),
            ("99999999999999999999999999.9999999999995", None),
            ("1e25", Some(10_i128.pow(25) * one)),
            ("1e26", None),
            // More than 16, 32 and 64 bits of exponent.
            ("12.5000000000e100230201", None),
            ("1e65536", None),
            ("1e4294967296", None),
            ("1e-99999999999999999999", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("true", None),
            ("\"e-99\"", None),
            ("{\"1\":1}", None),
        ];
        for (number, expected) in cases {
            assert_eq!(parse(number), expected, "{number}");
        }
        let long = "9".repeat(300);
        assert_eq!(parse(&long), None);
        assert_eq!(parse(&format!("0.{long}")), Some(one));
        assert_eq!(parse(&format!("{}1", "0".repeat(300))), Some(one));
        assert_eq!(parse(&format!("1{}e-300", "0".repeat(300))), Some(one));
    }
}
