//! Values of the configuration: their kinds, how each is read from text, and how it is shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use copilot_lake_tables::Instant;
use copilot_lake_writer::shown_location;
use url::Url;

use super::secrecy::{MASK, could_be_secret, masked};
use super::{duration, moment};
use crate::nearest::is_near;

/// What a key's value is.
#[derive(Clone, Copy)]
pub(crate) enum ValueKind {
    /// Any text.
    Text,
    /// Any text that is never shown.
    Secret,
    /// A text, a number, `true` or `false` for another program, never shown.
    Option,
    /// An absolute `http://` or `https://` URL.
    Url,
    /// A file; relative to the configuration file that names it, else to the working directory.
    Path,
    /// A directory (relative as a path is), or a URL with a scheme.
    Location,
    /// `true` or `false`.
    Boolean,
    /// A whole number of this range.
    Integer(u64, u64),
    /// A duration.
    Duration,
    /// A date, an instant or an age.
    Moment,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Texts: a TOML array, or separated by commas.
    List,
}

/// A value of its key's kind.
#[derive(Clone, PartialEq)]
pub(crate) enum ConfigValue {
    Text(String),
    Secret(String),
    Url(Url),
    Path(PathBuf),
    Location(String),
    Boolean(bool),
    Integer(u64),
    Duration(Duration),
    Moment(Instant),
    List(Vec<String>),
}

impl ValueKind {
    /// What a valid value looks like; completes "must be ...".
    pub(crate) fn form(self) -> String {
        match self {
            Self::Text | Self::Secret => "a text".to_owned(),
            Self::Option => "a text, a number, `true` or `false`".to_owned(),
            Self::Url => "a URL such as `https://contoso.crm.dynamics.com`".to_owned(),
            Self::Path => "a file's path".to_owned(),
            Self::Location => "a directory's path or a URL".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Self::Duration => duration::FORM.to_owned(),
            Self::Moment => moment::FORM.to_owned(),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List => "a list of texts".to_owned(),
        }
    }

    /// Reads a value from text; `base` is the directory of the configuration file, where the text comes from one.
    pub(crate) fn parse(self, text: &str, base: Option<&Path>) -> Option<ConfigValue> {
        if text.is_empty() && !matches!(self, Self::List) {
            return None;
        }
        match self {
            Self::Text => Some(ConfigValue::Text(text.to_owned())),
            Self::Secret | Self::Option => Some(ConfigValue::Secret(text.to_owned())),
            Self::Url => {
                let url = Url::parse(text).ok()?;
                (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(ConfigValue::Url(url))
            }
            Self::Path => Some(ConfigValue::Path(under(base, text))),
            Self::Location if text.contains("://") => Some(ConfigValue::Location(text.to_owned())),
            Self::Location => Some(ConfigValue::Location(under(base, text).to_string_lossy().into_owned())),
            Self::Boolean => text.parse().ok().map(ConfigValue::Boolean),
            Self::Integer(least, most) => {
                text.parse().ok().filter(|number| (least..=most).contains(number)).map(ConfigValue::Integer)
            }
            Self::Duration => duration::parse(text).map(ConfigValue::Duration),
            Self::Moment => moment::parse(text, moment::now()).map(ConfigValue::Moment),
            Self::OneOf(words) => words.contains(&text).then(|| ConfigValue::Text(text.to_owned())),
            Self::List if text.trim_start().starts_with('[') => {
                let mut table: toml::Table = toml::from_str(&format!("list = {text}")).ok()?;
                table.remove("list")?.try_into().ok().map(ConfigValue::List)
            }
            Self::List => Some(ConfigValue::List(
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            )),
        }
    }

    /// Whether an invalid value is likely a typing error for one of the words; where there are none, it may be.
    pub(crate) fn is_near(self, text: &str) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| is_near(text, word)),
            _ => true,
        }
    }
}

/// Whether a path names no file and may be a secret.
fn names_no_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| could_be_secret(&name.to_string_lossy())) && !path.exists()
}

fn under(base: Option<&Path>, text: &str) -> PathBuf {
    match base {
        Some(base) if !base.as_os_str().is_empty() => base.join(text.strip_prefix("./").unwrap_or(text)),
        _ => PathBuf::from(text),
    }
}

impl ConfigValue {
    /// Whether it is a secret, or a URL with one.
    pub(crate) fn holds_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::Url(url) => shown_location(url.as_str()) != url.as_str(),
            Self::Location(location) => shown_location(location) != *location,
            _ => false,
        }
    }
}

impl fmt::Display for ConfigValue {
    /// The value as a person would write it; a secret is `***`, and so is what may be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(masked(text)),
            Self::Secret(_) => f.write_str(MASK),
            Self::Url(url) => f.write_str(&shown_location(url.as_str())),
            Self::Location(location) => f.write_str(&shown_location(location)),
            // A secret may stand where the name of its file belongs.
            Self::Path(path) if names_no_file(path) => write!(f, "{MASK} (no such file)"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(value) => f.write_str(&duration::format(*value)),
            Self::Moment(value) => write!(f, "{value}"),
            Self::List(texts) => {
                write!(f, "[{}]", texts.iter().map(|text| masked(text)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
