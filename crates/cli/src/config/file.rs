//! The configuration file: TOML, read key by key so that every value keeps its line.

use std::path::Path;

use anyhow::Result;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key;
use super::layers::Layers;
use super::setting::SettingOrigin;
use super::text_file;
use super::value::{ConfigValue, ValueKind};
use crate::problem::usage;

/// Puts the file's values into the layers.
///
/// No message quotes the file's text: a line may hold a secret.
pub(super) fn read(path: &Path, layers: &mut Layers) -> Result<()> {
    let shown = path.display();
    let hint = "check the path given with `--config`, or leave it out to use ./copilot-lake.toml when there is one";
    let text = text_file::read(path, &format!("the configuration file `{shown}`"), "", hint)?;
    let root = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map(|span| line(&text, span.start)).unwrap_or(1);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        usage(format!("the configuration file is not valid TOML: {message}, {shown} line {line}"))
            .hint("texts need quotes, as in url = \"./lake\"; sections look like [lake]")
    })?;
    let file = TomlFile { path, text: &text };
    file.table(root.get_ref(), "", layers)
}

struct TomlFile<'a> {
    path: &'a Path,
    text: &'a str,
}

impl TomlFile<'_> {
    fn origin(&self, at: usize) -> SettingOrigin {
        SettingOrigin::File { path: self.path.to_owned(), line: line(self.text, at) }
    }

    fn table(&self, table: &DeTable<'_>, prefix: &str, layers: &mut Layers) -> Result<()> {
        for (key, value) in table {
            let name =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            let origin = self.origin(key.span().start);
            match value.get_ref() {
                DeValue::Array(entries) if key::is_list(&name) => {
                    for (at, entry) in entries.iter().enumerate() {
                        let DeValue::Table(inner) = entry.get_ref() else { return Err(no_list(&name, &origin)) };
                        let name = format!("{name}.{}", at + 1);
                        layers.section(&name);
                        self.table(inner, &name, layers)?;
                    }
                }
                _ if key::is_list(&name) => return Err(no_list(&name, &origin)),
                DeValue::Table(inner) if layers.is_section(&name) => {
                    layers.section(&name);
                    self.table(inner, &name, layers)?;
                }
                DeValue::Table(_) if layers.find(&name).is_err() => return Err(layers.unknown(&name, &origin)),
                _ if layers.is_section(&name) => {
                    return Err(usage(format!("`{name}` is a section, not a key, {origin}"))
                        .hint(format!("write its keys below a line [{name}]"))
                        .into());
                }
                _ => {
                    let kind = layers.find(&name).map_err(|_| layers.unknown(&name, &origin))?;
                    let parsed = self.value(kind, value);
                    let shown = self.shown(value);
                    layers.put(&name, kind, parsed, &shown, origin)?;
                }
            }
        }
        Ok(())
    }

    fn value(&self, kind: ValueKind, value: &Spanned<DeValue<'_>>) -> Option<ConfigValue> {
        let base = self.path.parent();
        match (kind, value.get_ref()) {
            (ValueKind::List, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<Vec<_>>>().map(ConfigValue::List)
            }
            (ValueKind::Option, DeValue::Boolean(value)) => kind.parse(&value.to_string(), base),
            (ValueKind::Option, DeValue::Integer(number)) => kind.parse(number.as_str(), base),
            (ValueKind::Boolean, DeValue::Boolean(value)) => Some(ConfigValue::Boolean(*value)),
            (ValueKind::Integer(..), DeValue::Integer(number)) => kind.parse(number.as_str(), base),
            (ValueKind::Moment, DeValue::Datetime(at)) => kind.parse(&at.to_string(), base),
            (ValueKind::Boolean | ValueKind::Integer(..), _) => None,
            (_, DeValue::String(text)) => kind.parse(text, base),
            _ => None,
        }
    }

    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            _ => self.text.get(value.span()).unwrap_or_default().to_owned(),
        }
    }
}

/// A list of sections that is something else.
fn no_list(name: &str, origin: &SettingOrigin) -> anyhow::Error {
    usage(format!("`{name}` is a list of sections, {origin}"))
        .hint(format!("write a line [[{name}]], with two brackets, above the keys of each"))
        .into()
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}
