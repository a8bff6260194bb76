//! Envelopes of a prompt and its response.

use std::borrow::Cow;

use serde::Deserialize;

/// What was asked and what was answered, where a text is a JSON object of both. The service documents no names: these are
/// the ones that are known.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Exchange<'a> {
    #[serde(borrow, alias = "Prompt")]
    pub(super) prompt: Cow<'a, str>,
    #[serde(borrow, alias = "Response")]
    pub(super) response: Cow<'a, str>,
}

impl<'a> Exchange<'a> {
    /// The exchange that a text is, if it is one.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_both_texts_is_an_exchange() {
        for (text, wanted) in [
            (r#"{"prompt":"Why?","response":"So."}"#, Some(("Why?", "So."))),
            (" {\n\"Response\": \"a\\nb\", \"id\": [1, {}], \"Prompt\": \"\u{fc}\"}", Some(("\u{fc}", "a\nb"))),
            (r#"{"prompt":"Why?"}"#, None),
            (r#"{"prompt":"Why?","response":null}"#, None),
            (r#"{"prompt":"Why?","response":"So.""#, None),
            (r#"["prompt","response"]"#, None),
            ("Why?", None),
            ("", None),
        ] {
            let read = Exchange::read(text);
            assert_eq!(read.as_ref().map(|read| (&*read.prompt, &*read.response)), wanted, "{text}");
        }
    }
}
