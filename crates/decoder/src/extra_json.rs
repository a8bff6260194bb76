//! `extra_json`: properties that the service sent and the definition does not know.
//!
//! The text is JSON that any reader accepts: unique names, valid Unicode, numbers within the range of a double, and
//! limited nesting. A property that would break this is rejected with its raw text.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::memchr2;

/// The column name, as used in a [`crate::Reject`].
pub(crate) const EXTRA_JSON: &str = "extra_json";

/// Maximum nesting: readers stop at 128, and the object itself adds one level.
const MAX_DEPTH: usize = 100;

/// Up to this many properties are compared pairwise, without a hash map of their names.
const MAX_LINEAR: usize = 16;

/// Properties to be written to `extra_json`, in the order received.
#[derive(Default)]
pub(crate) struct Extra<'a> {
    properties: Vec<ExtraProperty<'a>>,
}

struct ExtraProperty<'a> {
    name: Cow<'a, str>,
    /// Whether the name is valid text; otherwise its invalid parts are escaped.
    is_text: bool,
    raw: &'a str,
}

/// The rejected properties, as one JSON object of their raw values.
pub(crate) struct RefusedProperties {
    pub(crate) reason: &'static str,
    pub(crate) raw: String,
}

impl<'a> Extra<'a> {
    /// Adds a property; annotations are skipped.
    pub(crate) fn push(&mut self, name: impl Into<Cow<'a, str>>, raw: &'a str) {
        self.add(name.into(), true, raw);
    }

    /// Adds a property whose name contains an unpaired surrogate, escaped as in JSON.
    pub(crate) fn push_broken(&mut self, name: String, raw: &'a str) {
        self.add(Cow::Owned(name), false, raw);
    }

    fn add(&mut self, name: Cow<'a, str>, is_text: bool, raw: &'a str) {
        if !name.contains('@') {
            self.properties.push(ExtraProperty { name, is_text, raw });
        }
    }

    /// Adds the properties of a nested object, prefixed with its path.
    pub(crate) fn push_nested(&mut self, path: &str, nested: Self) {
        for ExtraProperty { name, is_text, raw } in nested.properties {
            self.add(Cow::Owned(format!("{path}.{name}")), is_text, raw);
        }
    }

    /// The text of `extra_json`, `None` if empty, and the rejected properties. Of a repeated name the last value
    /// counts.
    pub(crate) fn finish(&self) -> (Option<String>, Option<RefusedProperties>) {
        let (mut text, mut refused) = (None, None::<RefusedProperties>);
        let mut last = HashMap::new();
        if self.properties.len() > MAX_LINEAR {
            last.extend(self.properties.iter().enumerate().map(|(at, property)| (property.name(), at)));
        }
        for (at, property) in self.properties.iter().enumerate() {
            let comes_again = match last.get(&property.name()) {
                Some(last) => *last > at,
                None => self.properties[at + 1..].iter().any(|later| later.name() == property.name()),
            };
            if comes_again {
                continue;
            }
            let defect = if property.is_text { defect(property.raw) } else { Some(HALF_SURROGATE_PAIR) };
            match defect {
                None => property.write(text.get_or_insert_with(String::new)),
                Some(reason) => {
                    property.write(&mut refused.get_or_insert(RefusedProperties { reason, raw: String::new() }).raw);
                }
            }
        }
        if let Some(text) = &mut text {
            text.push('}');
        }
        if let Some(refused) = &mut refused {
            refused.raw.push('}');
        }
        (text, refused)
    }
}

impl ExtraProperty<'_> {
    fn name(&self) -> (&str, bool) {
        (&self.name, self.is_text)
    }

    /// Appends the property to the text of an object that the caller closes.
    fn write(&self, text: &mut String) {
        text.push(if text.is_empty() { '{' } else { ',' });
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
        if !self.is_text || self.name.bytes().all(is_plain) {
            text.extend(["\"", &*self.name, "\""]);
        } else {
            // Escapes are rare enough to pay for a copy.
            text.push_str(&serde_json::Value::from(&*self.name).to_string());
        }
        text.push(':');
        text.push_str(self.raw);
    }
}

const HALF_SURROGATE_PAIR: &str = "half a surrogate pair";

/// Why a JSON value is not readable everywhere; its syntax is known to be valid.
fn defect(raw: &str) -> Option<&'static str> {
    let bytes = raw.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match end_of_string(&bytes[at..]) {
                Some(length) => at += length,
                None => return Some(HALF_SURROGATE_PAIR),
            },
            b'-' | b'0'..=b'9' => {
                let is_inside = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
                let length = bytes[at..].iter().position(|byte| !is_inside(byte)).unwrap_or(bytes.len() - at);
                if !raw[at..at + length].parse::<f64>().is_ok_and(f64::is_finite) {
                    return Some("a number that is too large");
                }
                at += length;
            }
            b'[' | b'{' if depth == MAX_DEPTH => return Some("nested too deep"),
            byte => {
                depth += usize::from(matches!(byte, b'[' | b'{'));
                depth -= usize::from(matches!(byte, b']' | b'}'));
                at += 1;
            }
        }
    }
    None
}

/// The length of the JSON string at the start of a text; `None` if it contains an unpaired surrogate.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let unit = |escape: &[u8]| {
        let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += match unit(&text[at..]) {
            Some(0xD800..=0xDBFF) => match unit(&text[at + 6..]) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => return None,
            },
            Some(0xDC00..=0xDFFF) => return None,
            Some(_) => 6,
            None => 2,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::Extra;

    fn finish(properties: &[(&'static str, &'static str)]) -> (Option<String>, Option<String>) {
        let mut extra = Extra::default();
        properties.iter().for_each(|(name, raw)| extra.push(*name, raw));
        let (text, refused) = extra.finish();
        (text, refused.map(|refused| refused.raw))
    }

    #[test]
    fn whatever_came_its_text_is_json() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(finish(&[]), (None, None));
        assert_eq!(finish(&[("a@b", "1"), ("@c", "2")]), (None, None));
        assert_eq!(
            finish(&[("a", "1"), ("b", "2"), ("a", "3")]),
            (some(r#"{"b":2,"a":3}"#), None),
            "the last one counts"
        );
        let half = [r#""\ud83d""#, r#""\ude42\ud83d""#, r#"{"\udc00":1}"#, r#"[["x\\\ud800"]]"#, r#""\ud83d\u0041""#];
        for raw in half.into_iter().chain(["1e999", "[-1e309]", r#"{"a":{"b":123e400}}"#]) {
            let (text, refused) = finish(&[("a", "1"), ("b\"", raw), ("c", "2")]);
            assert_eq!(text, some(r#"{"a":1,"c":2}"#), "{raw}");
            assert_eq!(refused, Some(format!(r#"{{"b\"":{raw}}}"#)));
            assert_eq!(finish(&[("b", raw), ("b", "1")]), (some(r#"{"b":1}"#), None), "{raw}");
        }
        let whole = [r#""\ud83d\ude42 \\ud83d \u0000 \" ""#, "1e308", "-0.5E-999", "12345678901234567890123", "true"];
        for raw in whole.into_iter().chain([r#"{"a":1,"a":2}"#, r#"[{"\ud83d\ude42\n":[1, 2.5e3, null]}, "]"]"#]) {
            let (text, refused) = finish(&[("a b", raw)]);
            assert_eq!((text, refused), (Some(format!(r#"{{"a b":{raw}}}"#)), None));
            serde_json::from_str::<serde_json::Value>(raw).unwrap();
        }
    }

    #[test]
    fn depth_and_number_of_properties() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for (depth, is_there) in [(1, true), (100, true), (101, false), (100_000, false)] {
            let raw = nested(depth);
            let mut extra = Extra::default();
            extra.push("a", &raw);
            let (text, refused) = extra.finish();
            assert_eq!((text.is_some(), refused.is_some()), (is_there, !is_there), "{depth}");
            assert!(text.is_none_or(|text| serde_json::from_str::<serde_json::Value>(&text).is_ok()));
        }
        let mut extra = Extra::default();
        for name in 0..200_000 {
            extra.push((name % 150_000).to_string(), "1");
        }
        let text = extra.finish().0.unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap().as_object().unwrap().len(), 150_000);
        assert_eq!(text.matches(':').count(), 150_000);
    }
}
