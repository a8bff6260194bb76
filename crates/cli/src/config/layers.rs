//! The layers of the configuration: file, environment, `--set` and flags, each over the one before.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::key::{FREE_SECTIONS, KEYS, declared, entry, is_secret, variable_name};
use super::secrecy;
use super::setting::{Setting, SettingOrigin};
use super::value::{ConfigValue, ValueKind};
use crate::environment::{self, Variable};
use crate::nearest::{distance, nearest};
use crate::problem::usage;

/// The values read so far; a later layer replaces an earlier one.
pub(super) struct Layers {
    known: BTreeMap<String, ValueKind>,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) sections: BTreeSet<String>,
}

/// A key that is not declared.
pub(super) struct Unknown;

impl Layers {
    pub(super) fn new() -> Self {
        let known = KEYS.iter().flat_map(|key| key.names().map(|name| (name, key.kind))).collect();
        Self { known, settings: BTreeMap::new(), sections: BTreeSet::new() }
    }

    pub(super) fn find(&self, name: &str) -> Result<ValueKind, Unknown> {
        let within = |section: &&str| name.strip_prefix(*section).is_some_and(|rest| rest.starts_with('.'));
        match self.known.get(&*declared(name)) {
            Some(kind) => Ok(*kind),
            // Some are secrets of a store.
            None if FREE_SECTIONS.iter().any(within) => Ok(ValueKind::Option),
            None => Err(Unknown),
        }
    }

    pub(super) fn is_section(&self, name: &str) -> bool {
        let below = format!("{}.", declared(name));
        FREE_SECTIONS.contains(&name) || self.known.keys().any(|known| known.starts_with(&below))
    }

    pub(super) fn section(&mut self, name: &str) {
        self.sections.insert(name.to_owned());
    }

    pub(super) fn unknown(&self, name: &str, origin: &SettingOrigin) -> anyhow::Error {
        let hint = match nearest(name, self.known.keys().map(String::as_str)) {
            Some(known) => format!("the nearest known key is `{known}`; `copilot-lake --help` lists them all"),
            None => "`copilot-lake --help` lists the keys".to_owned(),
        };
        // The number of a section in a list is no secret.
        let words = entry(name).map_or_else(|| name.to_owned(), |(list, _, key)| format!("{list}{key}"));
        let shown = if secrecy::quoted_key(&words).is_empty() { String::new() } else { format!(" `{name}`") };
        usage(format!("unknown key{shown}, {origin}")).hint(hint).into()
    }

    pub(super) fn put(
        &mut self,
        name: &str,
        kind: ValueKind,
        value: Option<ConfigValue>,
        shown: &str,
        origin: SettingOrigin,
    ) -> Result<()> {
        let Some(value) = value else {
            let but = secrecy::but_is_value(shown, is_secret(name) || !kind.is_near(shown));
            return Err(usage(format!("`{name}` must be {}{but}, {origin}", kind.form()))
                .hint(format!("correct `{name}`, or remove it to use the default"))
                .into());
        };
        self.settings.insert(name.to_owned(), Setting { value, origin });
        Ok(())
    }

    pub(super) fn text(&mut self, name: &str, text: &str, origin: SettingOrigin) -> Result<()> {
        let kind = self.find(name).map_err(|_| self.unknown(name, &origin))?;
        self.put(name, kind, kind.parse(text, None), text, origin)
    }

    /// `COPILOT_LAKE_SECTION__KEY`.
    pub(super) fn variable(&mut self, variable: Variable) -> Result<()> {
        let path = variable.name.strip_prefix(environment::PREFIX).unwrap_or_default();
        let name = path.to_lowercase().replace("__", ".");
        if self.find(&name).is_err() {
            let names: Vec<_> = self.known.keys().map(|known| variable_name(known)).collect();
            let known = nearest(&variable.name, names.iter().map(String::as_str)).unwrap_or_default();
            // Without two underscores it is not a key; unless it is close to one, it belongs to another program.
            if !path.contains("__") && distance(&variable.name, known) > 2 {
                return Ok(());
            }
            return Err(usage(format!("unknown key in the environment variable `{}`", variable.name))
                .hint(format!("the nearest known one is `{known}`; sections and keys are joined by two underscores"))
                .into());
        }
        self.text(&name, &variable.value, SettingOrigin::Environment(variable.name))
    }

    /// `section.key=value`.
    pub(super) fn assignment(&mut self, assignment: &str) -> Result<()> {
        let Some((name, text)) = assignment.split_once('=') else {
            // The text may be a secret, so the message does not repeat it.
            return Err(usage("`--set` takes section.key=value").hint("as in `--set dataverse.page_size=1000`").into());
        };
        self.text(name.trim(), text, SettingOrigin::Set)
    }
}
