//! `$select`, `$filter` and `$expand` of metadata, which are plainer than those of rows.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::http::response::Refusal;

/// What is asked of metadata, at one level.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) select: Vec<String>,
    filter: Option<String>,
    pub(super) expand: Vec<(String, Options)>,
}

impl Options {
    pub(super) fn of_query(query: &str) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            options.set(&name, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "$select" => self.select = value.split(',').map(|name| name.trim().to_owned()).collect(),
            "$filter" => self.filter = Some(value.to_owned()),
            "$expand" => {
                for part in split(value, ',') {
                    let (name, inside) = part.split_once('(').map_or((part, None), |(name, rest)| (name, Some(rest)));
                    let mut nested = Self::default();
                    let inside = inside.map(|inside| inside.strip_suffix(')').unwrap_or(inside));
                    for option in inside.into_iter().flat_map(|inside| split(inside, ';')) {
                        let (name, value) = option.split_once('=').unwrap_or((option, ""));
                        nested.set(name.trim(), value)?;
                    }
                    self.expand.push((name.trim().to_owned(), nested));
                }
            }
            // Metadata has neither pages nor an order.
            other if other.starts_with('$') => {
                return Err(Refusal::bad_request(&format!("The query parameter '{other}' is not supported.")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the filter keeps a table or a column.
    pub(super) fn keeps(&self, properties: &Map<String, Value>) -> bool {
        let Some(filter) = &self.filter else { return true };
        let holds = |condition: &str| holds(condition.trim().trim_matches(['(', ')']), properties);
        filter.split(" or ").any(|all| all.split(" and ").all(holds))
    }
}

/// One comparison; what is no comparison holds for nothing.
fn holds(condition: &str, properties: &Map<String, Value>) -> bool {
    let mut words = condition.splitn(3, ' ');
    let (Some(name), Some(operator), Some(literal)) = (words.next(), words.next(), words.next()) else { return false };
    let value = properties.get(name).unwrap_or(&Value::Null);
    // Codes are written as `Microsoft.Dynamics.CRM.AttributeTypeCode'File'`.
    let quoted = literal.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\''));
    let equal = match (quoted, literal.trim()) {
        (Some((text, _)), _) => value.as_str() == Some(text),
        (None, "null") => value.is_null(),
        (None, other) => serde_json::from_str::<Value>(other).is_ok_and(|literal| literal == *value),
    };
    match operator {
        "eq" => equal,
        "ne" => !equal,
        _ => false,
    }
}

/// Keeps the selected properties and the key.
pub(super) fn project(
    properties: &mut Map<String, Value>,
    options: &Options,
    known: &[&str],
    type_name: &str,
) -> Result<(), Refusal> {
    if let Some(strange) = options.select.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Refusal::no_property(strange, type_name));
    }
    if !options.select.is_empty() {
        let kept =
            |name: &str| name.starts_with('@') || name == "MetadataId" || options.select.iter().any(|of| of == name);
        properties.retain(|name, _| kept(name));
    }
    Ok(())
}

/// Splits outside parentheses.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == at && depth == 0
    })
    .collect()
}
