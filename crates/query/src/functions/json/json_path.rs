//! Paths into JSON, as DuckDB writes them: `$.a."b c"[0]`, `/a/0`, and a key as it stands.

use std::collections::BTreeMap;

use datafusion::common::{Result, ScalarValue, plan_err};
use serde_json::value::RawValue;

/// A path, step by step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Of an object.
    Key(String),
    /// In an array; negative: from its end.
    Place(i64),
}

impl JsonPath {
    /// From the second argument of a call; null is no path.
    pub(super) fn parse(path: &ScalarValue) -> Result<Option<Self>> {
        let steps = match path {
            ScalarValue::Utf8(Some(path)) => match path.as_bytes().first() {
                Some(b'$') => dollar_steps(path)?,
                Some(b'/') => path[1..].split('/').map(pointer_step).collect(),
                _ => vec![Step::Key(path.clone())],
            },
            ScalarValue::Int64(Some(place)) => vec![Step::Place(*place)],
            ScalarValue::Utf8(None) | ScalarValue::Int64(None) => return Ok(None),
            _ => return plan_err!("a path into JSON is a text or a number"),
        };
        Ok(Some(Self(steps)))
    }

    /// What a JSON text has there, as it is written.
    pub(super) fn find<'j>(&self, json: &'j str) -> Option<&'j RawValue> {
        let whole = serde_json::from_str(json).ok();
        self.0.iter().try_fold(whole?, |value: &RawValue, step| match step {
            Step::Key(name) => serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()).ok()?.remove(name),
            Step::Place(place) => {
                let values: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                let place = if *place < 0 { i64::try_from(values.len()).ok()? + place } else { *place };
                values.get(usize::try_from(place).ok()?).copied()
            }
        })
    }
}

/// Of a path that begins with `$`.
fn dollar_steps(path: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = &path[1..];
    while !rest.is_empty() {
        let Some((step, after)) = key_step(rest).or_else(|| place_step(rest)) else {
            return plan_err!("{path} is no path into JSON: it is as in $.key, $.\"a key\" or $.key[0]");
        };
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

/// `.key` or `."a key"`, and what is after it.
fn key_step(path: &str) -> Option<(Step, &str)> {
    let path = path.strip_prefix('.')?;
    let (name, rest) = match path.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
    };
    (!name.is_empty() && name != "*").then(|| (Step::Key(name.to_owned()), rest))
}

/// `[0]` or, from the end, `[#-1]` or `[-1]`, and what is after it.
fn place_step(path: &str) -> Option<(Step, &str)> {
    let (place, rest) = path.strip_prefix('[')?.split_once(']')?;
    let place = place.strip_prefix('#').unwrap_or(place).parse().ok()?;
    Some((Step::Place(place), rest))
}

/// A step of a JSON pointer.
fn pointer_step(step: &str) -> Step {
    match step.parse() {
        Ok(place) => Step::Place(place),
        Err(_) => Step::Key(step.replace("~1", "/").replace("~0", "~")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["$.", "$a", "$[x]", "$.a[", "$.*", "$[*]", "$.\"a"] {
            let error = JsonPath::parse(&ScalarValue::from(path)).unwrap_err();
            assert!(error.to_string().contains("is no path into JSON"), "{path}: {error}");
        }
        assert_eq!(JsonPath::parse(&ScalarValue::Utf8(None)).unwrap(), None);
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let find = |json, path: &str| {
            let path = JsonPath::parse(&ScalarValue::from(path)).unwrap().unwrap();
            path.find(json).map(|value| value.get().to_owned())
        };
        assert_eq!(find(r#" {"a": [1, {"b" : 2}]} "#, "$.a[1]").as_deref(), Some(r#"{"b" : 2}"#));
        assert_eq!(find(r#"{"a":1}"#, "$").as_deref(), Some(r#"{"a":1}"#));
        for (json, path) in [
            ("", "a"),
            ("no JSON", "a"),
            ("[1]", "a"),
            ("[1]", "$[1]"),
            ("[1]", "$[-2]"),
            ("1", "$[0]"),
            ("{\"a\":1", "a"),
        ] {
            assert_eq!(find(json, path), None, "{json} {path}");
        }
    }
}
