//! Character references: `&amp;`, `&#38;` and `&#x26;`.

use std::borrow::Cow;

use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};
use memchr::memchr;

/// Replaces character references; in attributes fewer of them end without a semicolon.
pub(super) fn decoded(text: &str, in_attribute: bool) -> Cow<'_, str> {
    let Some(mut at) = memchr(b'&', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (before, reference) = rest.split_at(at);
        decoded.push_str(before);
        rest = &reference[1..];
        match read(rest, in_attribute) {
            Some((characters, length)) => {
                decoded.extend(characters.into_iter().filter(|c| *c != '\0'));
                rest = &rest[length..];
            }
            None => decoded.push('&'),
        }
        match memchr(b'&', rest.as_bytes()) {
            Some(next) => at = next,
            None => {
                decoded.push_str(rest);
                return Cow::Owned(decoded);
            }
        }
    }
}

/// One or two characters (the second may be NUL), and the length of the reference after its `&`.
fn read(text: &str, in_attribute: bool) -> Option<([char; 2], usize)> {
    match text.strip_prefix('#') {
        Some(number) => numeric(number).map(|(character, length)| ([character, '\0'], length + 1)),
        None => named(text, in_attribute),
    }
}

fn numeric(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix(['x', 'X']);
    let (digits, radix) = digits.map_or((text, 10), |digits| (digits, 16));
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let length = text.len() - digits.len() + end + usize::from(digits[end..].starts_with(';'));
    // A number with too many digits is no character either.
    let number = u32::from_str_radix(&digits[..end], radix).unwrap_or(u32::MAX);
    let character = match number {
        0 => None,
        0x80..=0x9F => C1_REPLACEMENTS[number as usize - 0x80].or(char::from_u32(number)),
        _ => char::from_u32(number),
    };
    Some((character.unwrap_or('\u{fffd}'), length))
}

fn named(text: &str, in_attribute: bool) -> Option<([char; 2], usize)> {
    let mut found = None;
    // The table holds the names and all their prefixes.
    for end in 1..=text.len() {
        let Some(characters) = text.get(..end).and_then(|name| NAMED_ENTITIES.get(name)) else { break };
        if characters.0 != 0 {
            found = Some((*characters, end));
        }
    }
    let ((first, second), length) = found?;
    let next = text.as_bytes().get(length);
    let is_other = next.is_some_and(|next| *next == b'=' || next.is_ascii_alphanumeric());
    if in_attribute && !text[..length].ends_with(';') && is_other {
        return None;
    }
    Some(([char::from_u32(first)?, char::from_u32(second)?], length))
}
