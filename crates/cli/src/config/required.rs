//! Values that a job cannot do without: each by its kind, or the problem that names the missing key.

use std::time::Duration;

use copilot_lake_tables::Instant;
use url::Url;

use super::effective::Config;
use super::key::{Key, variable_name};
use super::setting::Setting;
use super::value::Value;
use crate::exit::{Problem, usage};

pub(super) fn text(config: &Config, section: &str, key: &Key) -> Result<String, Problem> {
    match config.get(section, key) {
        Some(Setting { value: Value::Text(text), .. }) => Ok(text),
        _ => Err(missing(section, key)),
    }
}

pub(super) fn moment(config: &Config, key: &Key) -> Result<Instant, Problem> {
    match config.of(key) {
        Some(Setting { value: Value::Moment(moment), .. }) => Ok(moment),
        _ => Err(missing(key.sections[0], key)),
    }
}

pub(super) fn duration(config: &Config, key: &Key) -> Result<Duration, Problem> {
    match config.of(key) {
        Some(Setting { value: Value::Duration(duration), .. }) => Ok(duration),
        _ => Err(missing(key.sections[0], key)),
    }
}

pub(super) fn list(config: &Config, key: &Key) -> Vec<String> {
    match config.of(key) {
        Some(Setting { value: Value::List(texts), .. }) => texts,
        _ => Vec::new(),
    }
}

pub(super) fn url(config: &Config, section: &str, key: &Key) -> Result<Url, Problem> {
    match config.get(section, key) {
        Some(Setting { value: Value::Url(url), .. }) => Ok(url),
        _ => Err(missing(section, key)),
    }
}

pub(super) fn missing(section: &str, key: &Key) -> Problem {
    let shared = if section.ends_with(".auth") { "auth" } else { section };
    let name = format!("{shared}.{}", key.name);
    let doc = format!("{}{}", key.doc[..1].to_lowercase(), &key.doc[1..]);
    usage(format!("`{name}` is not set: {doc}"))
        .hint(format!("set it in the configuration file, or as {}", variable_name(&name)))
}
