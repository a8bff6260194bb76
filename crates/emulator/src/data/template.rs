//! The files of `templates/`: texts with places for values, and alternatives with weights. Each is parsed once.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::data::json_writer::{boolean, number, string};
use crate::data::random::{Random, guid};

/// A text with `{name}` where a value goes.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Template {
    /// Text, and the name of the value that follows it.
    parts: Vec<(String, String)>,
    end: String,
}

/// Alternatives, each with its weight.
#[derive(Debug, Deserialize)]
pub(crate) struct Weighted<T>(Vec<(T, u32)>);

/// The values of a template by name, best in the order of the text.
pub(crate) type TemplateValues<'a> = &'a [(&'a str, &'a dyn TemplateValue)];

/// What can stand in a template.
pub(crate) trait TemplateValue {
    /// Appends it as text.
    fn append(&self, out: &mut Vec<u8>);
}

/// The GUID of a seed.
pub(crate) struct SeededGuid(pub(crate) u64);

/// A text as a JSON string.
pub(crate) struct QuotedText<'a>(pub(crate) &'a str);

/// Reads a file of `templates/`.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> T {
    // The files are part of the program, and tests read all of them.
    toml::from_str(text).unwrap_or_else(|error| unreachable!("templates/{file}: {error}"))
}

impl From<String> for Template {
    /// JSON is written over several lines for readers, and sent without white space. It begins with a quote, a comma, or
    /// a brace that is not that of a value.
    fn from(text: String) -> Self {
        let is_json = ["\"", ",", "{ ", "{\n"].iter().any(|begin| text.starts_with(begin));
        if is_json { Self::verbatim(&compact(&text)) } else { Self::verbatim(&text) }
    }
}

impl Template {
    /// A template of a text as it stands.
    pub(crate) fn verbatim(text: &str) -> Self {
        let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
        while let Some(brace) = text[at..].find('{') {
            let open = at + brace;
            at = open + 1;
            let name = text[at..].split_once('}').map_or("", |(name, _)| name);
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                parts.push((text[begin..open].to_owned(), name.to_owned()));
                at += name.len() + 1;
                begin = at;
            }
        }
        Self { parts, end: text[begin..].to_owned() }
    }

    /// Appends the text with its values; one that it does not name is left out.
    pub(crate) fn fill(&self, out: &mut Vec<u8>, values: TemplateValues<'_>) {
        let mut next = 0;
        for (text, name) in &self.parts {
            out.extend_from_slice(text.as_bytes());
            if values.get(next).is_none_or(|value| value.0 != name) {
                let found = values.iter().position(|value| value.0 == name);
                next = found.unwrap_or_else(|| unreachable!("no value `{name}`"));
            }
            values[next].1.append(out);
            next += 1;
        }
        out.extend_from_slice(self.end.as_bytes());
    }

    /// The text with its values.
    pub(crate) fn text(&self, values: TemplateValues<'_>) -> String {
        let mut out = Vec::with_capacity(512);
        self.fill(&mut out, values);
        String::from_utf8(out).unwrap_or_default()
    }
}

impl<T> Weighted<T> {
    pub(crate) fn pick(&self, random: &mut Random) -> &T {
        &self.0[random.index(self.0.iter().map(|(_, weight)| *weight))].0
    }
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        quoted ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        quoted || !c.is_whitespace()
    };
    json.chars().filter(keep).collect()
}

impl TemplateValue for &str {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl TemplateValue for String {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl TemplateValue for i64 {
    fn append(&self, out: &mut Vec<u8>) {
        number(out, *self);
    }
}

impl TemplateValue for bool {
    fn append(&self, out: &mut Vec<u8>) {
        boolean(out, *self);
    }
}

impl TemplateValue for SeededGuid {
    fn append(&self, out: &mut Vec<u8>) {
        guid(out, self.0);
    }
}

impl TemplateValue for QuotedText<'_> {
    fn append(&self, out: &mut Vec<u8>) {
        string(out, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{QuotedText, SeededGuid, Template, TemplateValues, Weighted, parse};
    use crate::data::random::Random;

    #[derive(serde::Deserialize)]
    struct Example {
        json: Template,
        prose: Template,
        value: Weighted<Template>,
    }

    #[test]
    fn values_go_where_names_are_and_json_loses_its_white_space() {
        let toml = r#"
json = '''
{
  "a b": "{text}",  "c": {}, "d": "\"  {", {more}
  "e": [ { "f": {number} } ]
}'''
prose = "{text}, { {text} }\n\n{Text} {more}"
value = [["never", 0], ["{quoted} {guid}", 1]]
"#;
        let example: Example = parse("example", toml);
        let values: TemplateValues<'_> = &[
            ("text", &"x y"),
            ("more", &""),
            ("number", &7_i64),
            ("quoted", &QuotedText("a \"b\"\n")),
            ("guid", &SeededGuid(1)),
        ];
        assert_eq!(example.json.text(values), r#"{"a b":"x y","c":{},"d":"\"  {","e":[{"f":7}]}"#);
        assert_eq!(example.prose.text(values), "x y, { x y }\n\n{Text} ");
        let picked = example.value.pick(&mut Random::new(1)).text(values);
        assert_eq!(picked.strip_prefix(r#""a \"b\"\n" "#).map(str::len), Some(36), "{picked}");
    }
}
