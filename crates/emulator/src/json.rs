//! Pieces of JSON, appended to bytes.

use crate::dates::Dates;
use crate::random::guid;

pub(crate) fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// A string that needs no escapes.
pub(crate) fn quote(out: &mut Vec<u8>, plain: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(plain);
    out.push(b'"');
}

pub(crate) fn quoted_guid(out: &mut Vec<u8>, seed: u64) {
    out.push(b'"');
    guid(out, seed);
    out.push(b'"');
}

/// Any text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

pub(crate) fn instant(out: &mut Vec<u8>, dates: &mut Dates, seconds: i64) {
    out.push(b'"');
    dates.instant(out, seconds);
    out.push(b'"');
}
