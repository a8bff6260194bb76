//! Values that a job cannot do without: each by its kind, or the problem that names the missing key.

use std::time::Duration;

use copilot_lake_tables::Instant;
use url::Url;

use super::effective::Config;
use super::key::{ConfigKey, variable_name};
use super::setting::Setting;
use super::value::ConfigValue;
use crate::problem::{Problem, usage};

pub(super) fn text(config: &Config, section: &str, key: &ConfigKey) -> Result<String, Problem> {
    match config.setting_in(section, key) {
        Some(Setting { value: ConfigValue::Text(text) | ConfigValue::Location(text), .. }) => Ok(text),
        _ => Err(missing(section, key)),
    }
}

pub(super) fn moment(config: &Config, key: &ConfigKey) -> Result<Instant, Problem> {
    match config.setting(key) {
        Some(Setting { value: ConfigValue::Moment(moment), .. }) => Ok(moment),
        _ => Err(missing(key.sections[0], key)),
    }
}

pub(super) fn duration(config: &Config, key: &ConfigKey) -> Result<Duration, Problem> {
    match config.setting(key) {
        Some(Setting { value: ConfigValue::Duration(duration), .. }) => Ok(duration),
        _ => Err(missing(key.sections[0], key)),
    }
}

pub(super) fn list(config: &Config, key: &ConfigKey) -> Vec<String> {
    match config.setting(key) {
        Some(Setting { value: ConfigValue::List(texts), .. }) => texts,
        _ => Vec::new(),
    }
}

pub(super) fn url(config: &Config, section: &str, key: &ConfigKey) -> Result<Url, Problem> {
    match config.setting_in(section, key) {
        Some(Setting { value: ConfigValue::Url(url), .. }) => Ok(url),
        _ => Err(missing(section, key)),
    }
}

pub(super) fn missing(section: &str, key: &ConfigKey) -> Problem {
    let shared = if section.ends_with(".auth") { "auth" } else { section };
    let name = format!("{shared}.{}", key.name);
    let doc = format!("{}{}", key.doc[..1].to_lowercase(), &key.doc[1..]);
    usage(format!("`{name}` is not set: {doc}"))
        .hint(format!("set it in the configuration file, or as {}", variable_name(&name)))
}
