//! Texts that are safe to print: no character of somebody's text controls a terminal, begins a line or reorders one.

use std::borrow::Cow;

use serde_json::Value;

/// Whether a character has an effect instead of a shape: a control code (C0, C1, delete), the end of a line or paragraph,
/// or a bidirectional control.
///
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// The controls that are no control codes to [`char::is_control`].
fn is_invisible(c: char) -> bool {
    is_bidirectional(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line: bidirectional controls are left out, other controls in a row become a blank.
pub(crate) fn cleaned(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let visible: String = text.chars().filter(|c| !is_bidirectional(*c)).collect();
    Cow::Owned(visible.split(is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
}

/// The lines of a text, each cleaned; without the empty ones behind the last.
#[cfg(feature = "query")]
pub(crate) fn cleaned_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    const BREAKS: [char; 4] = ['\n', '\u{85}', '\u{2028}', '\u{2029}'];
    text.trim_end().split(BREAKS).map(cleaned)
}

/// Cleans every text in a JSON value.
pub(crate) fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(clean) = cleaned(text) {
                *text = clean;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(clean_value),
        Value::Object(values) => values.values_mut().for_each(clean_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// JSON with its controls escaped. Encoders escape only those that JSON forbids, which are C0; the others can stand only
/// within its texts, so the value stays the same.
#[cfg(feature = "query")]
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_control(c) && c >= '\u{7f}';
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_escaped(c) {
            // All of them fit into four digits.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_lose_their_effect() {
        let cases = [
            ("plain text, äöü 日本 🙂", "plain text, äöü 日本 🙂"),
            ("two\r\n\tlines", "two lines"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("\u{1b}]0;title\u{7}rest", "]0;title rest"),
            ("c1 \u{9b}31m \u{85}next", "c1  31m  next"),
            ("\u{7f}", ""),
            ("a\u{2028}b\u{2029}c", "a b c"),
            ("ab\u{202e}dc\u{202c}", "abdc"),
            ("\u{2066}x\u{2069}\u{200f}\u{61c}y", "xy"),
            // Joiners shape the letters and flags of people's languages.
            ("\u{200d}\u{200c}\u{ad}", "\u{200d}\u{200c}\u{ad}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(cleaned(text), wanted, "{text:?}");
        }
    }

    #[cfg(feature = "query")]
    #[test]
    fn lines_stay_lines_and_each_is_harmless() {
        for (text, wanted) in [
            ("", vec![""]),
            ("one", vec!["one"]),
            ("a\r\n\u{1b}[31mb\n\nc\n \n", vec!["a", "[31mb", "", "c"]),
            ("a\u{2028}b\u{85}c\rd\u{202e}", vec!["a", "b", "c d"]),
        ] {
            assert_eq!(cleaned_lines(text).collect::<Vec<_>>(), wanted, "{text:?}");
        }
    }

    #[test]
    fn texts_in_json_are_cleaned_and_names_and_numbers_stay() {
        let mut value = serde_json::json!({"a": ["x\ny", 1, {"b": "\u{9b}z"}], "c": null});
        clean_value(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x y", 1, {"b": "z"}], "c": null}));
    }

    #[cfg(feature = "query")]
    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({"a": "\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}é\n"});
        let json = value.to_string();
        let escaped = escaped_json(&json);
        assert_eq!(escaped, r#"{"a":"\u001b\u007f\u009b\u202e\u2028é\n"}"#);
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }
}
