//! The effective configuration: flags, environment, file and defaults combined, with the origin of every value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::file;
use super::key::{ConfigKey, FREE_SECTIONS, KEYS, declared, entry};
use super::layers::Layers;
use super::secrecy::MASK;
use super::setting::{Setting, SettingOrigin};
use super::value::ConfigValue;
use crate::args::GlobalArgs;
use crate::environment::{self, Variable};

/// The configuration file that is read if none is named and it exists.
pub(crate) const DEFAULT_FILE: &str = "copilot-lake.toml";

/// The sources of the configuration, in order of rising precedence.
#[derive(Default)]
pub(crate) struct Sources {
    /// A file.
    pub(crate) file: Option<PathBuf>,
    /// The program's variables.
    pub(crate) variables: Vec<Variable>,
    /// `--set section.key=value`.
    pub(crate) set: Vec<String>,
    /// Flags that stand for a key: the key's whole name, the flag, the value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// The effective configuration.
pub(crate) struct Config {
    settings: BTreeMap<String, Setting>,
    sections: BTreeSet<String>,
}

impl Config {
    /// Reads the flags, the environment of this process and the file: that of `--config`, else
    /// `./copilot-lake.toml` if it exists.
    pub(crate) fn from_flags(global: GlobalArgs) -> Result<Self> {
        let usual = Path::new(DEFAULT_FILE);
        Self::load(Sources {
            file: global.config.or_else(|| usual.exists().then(|| usual.to_owned())),
            variables: environment::variables(),
            set: global.set,
            flags: global.lake.map(|url| ("lake.url", "--lake", url)).into_iter().collect(),
        })
    }

    /// Reads every source; fails at the first mistake.
    pub(crate) fn load(sources: Sources) -> Result<Self> {
        let mut layers = Layers::new();
        if let Some(path) = &sources.file {
            file::read(path, &mut layers)?;
        }
        for variable in sources.variables {
            layers.variable(variable)?;
        }
        for assignment in &sources.set {
            layers.assignment(assignment)?;
        }
        for (name, flag, text) in sources.flags {
            layers.text(name, &text, SettingOrigin::Flag(flag))?;
        }
        Ok(Self { settings: layers.settings, sections: layers.sections })
    }

    /// What any source sets, by the key's whole name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// Whether any source mentions the section.
    pub(crate) fn mentions(&self, section: &str) -> bool {
        let below = format!("{section}.");
        self.sections.contains(section) || self.settings.keys().any(|name| name.starts_with(&below))
    }

    /// The setting of a key in a section, else in the sections behind it (`[auth]` for `[x.auth]`), else its default.
    pub(crate) fn setting_in(&self, section: &str, key: &ConfigKey) -> Option<Setting> {
        let setting = key.lookup(section).into_iter().find_map(|section| self.setting_only_in(section, key));
        setting.cloned().or_else(|| default(key))
    }

    /// The sections of a list that any source mentions, such as `dataverse.identity.1`, in their order.
    pub(super) fn entries(&self, list: &str) -> Vec<String> {
        let names = self.sections.iter().chain(self.settings.keys());
        let numbers = names.filter_map(|name| entry(name).filter(|(of, ..)| *of == list)).map(|(_, number, _)| number);
        numbers.collect::<BTreeSet<_>>().into_iter().map(|number| format!("{list}.{number}")).collect()
    }

    /// The setting of a key in exactly this section.
    pub(super) fn setting_only_in(&self, section: &str, key: &ConfigKey) -> Option<&Setting> {
        self.settings.get(&format!("{section}.{}", key.name))
    }

    /// The setting of a key that has one section.
    pub(crate) fn setting(&self, key: &ConfigKey) -> Option<Setting> {
        self.setting_in(key.sections[0], key)
    }

    /// Every key's effective value and where it comes from, secrets masked: `lake.url = ./lake (default)`.
    pub(crate) fn effective(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for key in KEYS {
            let others = |name: &String| {
                let name = name.clone();
                let is_other = move |other: &&String| **other != name && declared(other) == name;
                self.settings.keys().filter(is_other).cloned().collect::<Vec<_>>()
            };
            let names: Vec<_> = key.names().flat_map(|name| [others(&name), vec![name]].concat()).collect();
            for (at, name) in names.into_iter().enumerate() {
                let setting = self.settings.get(&name).cloned().or_else(|| default(key).filter(|_| at == 0));
                match setting {
                    // A secret may stand where the name of its file belongs.
                    Some(Setting { value: ConfigValue::Path(path), origin }) if key.is_secret() && !path.exists() => {
                        lines.push(format!("{name} = {MASK} (no such file) ({origin})"));
                    }
                    Some(Setting { value, origin }) => lines.push(format!("{name} = {value} ({origin})")),
                    None if at == 0 => lines.push(format!("{name} is not set")),
                    None => {}
                }
            }
        }
        // Values in a free section may be secrets of a store.
        let free = |name: &&String| FREE_SECTIONS.iter().any(|section| name.starts_with(&format!("{section}.")));
        lines.extend(
            self.settings
                .iter()
                .filter(|entry| free(&entry.0))
                .map(|(name, at)| format!("{name} = *** ({})", at.origin)),
        );
        lines
    }
}

pub(super) fn default(key: &ConfigKey) -> Option<Setting> {
    Some(Setting { value: key.kind.parse(key.default?, None)?, origin: SettingOrigin::Default })
}
