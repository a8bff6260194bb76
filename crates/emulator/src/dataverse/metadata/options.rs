//! `$select`, `$filter` and `$expand` of metadata.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::dataverse::row_filter::syntax;
use crate::http::filter::{Comparison, Filter, Literal, Operator};
use crate::http::response::ServiceError;

/// The query options of metadata, at one level.
#[derive(Debug, Default)]
pub(crate) struct MetadataOptions {
    select: Vec<String>,
    /// Properties and their required values.
    filter: Option<Filter<(String, String)>>,
    pub(crate) expand: Vec<(String, MetadataOptions)>,
}

impl MetadataOptions {
    pub(crate) fn parse(query: &str) -> Result<Self, ServiceError> {
        let mut options = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            options.set(&name, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ServiceError> {
        match name {
            "$select" => self.select = value.split(',').map(str::to_owned).collect(),
            "$filter" => self.filter = Some(Filter::parse(value, syntax, equal_text)?),
            "$expand" => {
                for part in split(value, ',') {
                    let (name, inside) = part.split_once('(').unwrap_or((part, ""));
                    let mut nested = Self::default();
                    let inside = inside.strip_suffix(')').unwrap_or(inside);
                    for option in split(inside, ';').into_iter().filter(|option| !option.is_empty()) {
                        let (name, value) = option.split_once('=').unwrap_or((option, ""));
                        nested.set(name, value)?;
                    }
                    self.expand.push((name.to_owned(), nested));
                }
            }
            // Metadata has neither pages nor an order.
            other => return Err(ServiceError::unsupported(&format!("the query option '{other}' of metadata"))),
        }
        Ok(())
    }

    /// Whether the filter keeps a table.
    pub(crate) fn keeps(&self, properties: &Map<String, Value>) -> bool {
        self.filter.as_ref().is_none_or(|filter| keeps(filter, properties))
    }
}

/// `LogicalName eq 'text'`.
fn equal_text(comparison: Comparison<'_>) -> Result<(String, String), ServiceError> {
    match comparison {
        Comparison { property, operator: Operator::Equal, literal: Literal::Quoted(text) } => {
            Ok((property.to_owned(), text))
        }
        Comparison { property, .. } => Err(ServiceError::unsupported(&format!("the condition on '{property}'"))),
    }
}

fn keeps(filter: &Filter<(String, String)>, properties: &Map<String, Value>) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|filter| keeps(filter, properties)),
        Filter::Or(any) => any.iter().any(|filter| keeps(filter, properties)),
        Filter::Compare((name, text)) => properties.get(name).and_then(Value::as_str) == Some(text),
    }
}

/// Keeps the selected properties and the id.
pub(crate) fn project(
    properties: &mut Map<String, Value>,
    options: &MetadataOptions,
    known: &[&str],
    type_name: &str,
) -> Result<(), ServiceError> {
    if let Some(strange) = options.select.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(ServiceError::no_property(strange, type_name));
    }
    if !options.select.is_empty() {
        properties.retain(|name, _| name == "MetadataId" || options.select.iter().any(|of| of == name));
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
