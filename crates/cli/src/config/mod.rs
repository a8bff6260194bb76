//! The configuration: what flags, environment, file and defaults say together, and which of them said it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::args::Global;
use crate::environment::{self, Variable};
use crate::exit::{Problem, usage};
use crate::nearest::{distance, nearest};
use key::{FREE_SECTIONS, KEYS, Key, LATER_SECTIONS};
use value::{Kind, Value};

pub(crate) mod duration;
mod file;
pub(crate) mod key;
pub(crate) mod moment;
pub(crate) mod settings;
mod sign_in;
pub(crate) mod text_file;
mod value;

pub(crate) use text_file::reason;

/// The configuration file that is read when none is named and it exists.
pub(crate) const DEFAULT_FILE: &str = "copilot-lake.toml";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file.
    File { path: PathBuf, line: usize },
    /// An environment variable.
    Environment(String),
    /// `--set`.
    Set,
    /// Another flag.
    Flag(&'static str),
}

impl Origin {
    /// Its precedence: of two, the greater one wins.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Set => 3,
            Self::Flag(_) => 4,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What is read: in the order of rising precedence.
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

/// A value and who gave it.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The effective configuration.
pub(crate) struct Config {
    settings: BTreeMap<String, Setting>,
    sections: BTreeSet<String>,
}

impl Config {
    /// What the flags, the environment and the file of this process say: that of `--config`, else
    /// `./copilot-lake.toml`, when it exists.
    pub(crate) fn of_flags(global: Global) -> Result<Self> {
        let usual = Path::new(DEFAULT_FILE);
        Self::load(Sources {
            file: global.config.or_else(|| usual.exists().then(|| usual.to_owned())),
            variables: environment::variables(),
            set: global.set,
            flags: global.lake.map(|url| ("lake.url", "--lake", url)).into_iter().collect(),
        })
    }

    /// Reads every source; the first wrong thing is the error.
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
            layers.text(name, &text, Origin::Flag(flag))?;
        }
        Ok(Self { settings: layers.settings, sections: layers.sections })
    }

    /// Whether anybody mentions the section.
    pub(crate) fn mentions(&self, section: &str) -> bool {
        let below = format!("{section}.");
        self.sections.contains(section) || self.settings.keys().any(|name| name.starts_with(&below))
    }

    /// What is said of a key in a section; of `[x.auth]`, else in `[auth]`; else its default.
    pub(crate) fn get(&self, section: &str, key: &Key) -> Option<Setting> {
        let said = self.exactly(section, key);
        said.or_else(|| self.exactly(key.sections[0], key)).cloned().or_else(|| default(key))
    }

    /// What is said of a key in this very section.
    fn exactly(&self, section: &str, key: &Key) -> Option<&Setting> {
        self.settings.get(&format!("{section}.{}", key.name))
    }

    /// The same for a key of one section.
    pub(crate) fn of(&self, key: &Key) -> Option<Setting> {
        self.get(key.sections[0], key)
    }

    /// Stops when something below one of these sections is asked for that this version cannot do.
    pub(crate) fn refuse_unsupported(&self, sections: &[&str]) -> Result<(), Problem> {
        let within = |name: &str, section: &str| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        for (name, setting) in &self.settings {
            if !sections.iter().any(|section| within(name, section)) {
                continue;
            }
            if let Some(section) = LATER_SECTIONS.iter().find(|section| within(name, section)) {
                return Err(unsupported(&format!("[{section}]"), &setting.origin)
                    .hint(format!("remove the section [{section}]")));
            }
            let Some(key) = KEYS.iter().find(|key| key.names().any(|known| known == *name)) else { continue };
            let is_default = default(key).is_some_and(|default| default.value == setting.value);
            if key.is_later() && !is_default {
                return Err(unsupported(&format!("`{name}`"), &setting.origin).hint(format!("remove `{name}`")));
            }
        }
        Ok(())
    }

    /// Every key's effective value and where it comes from, secrets masked: `lake.url = ./lake (default)`.
    pub(crate) fn effective(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for key in KEYS {
            for (at, name) in key.names().enumerate() {
                let setting = self.settings.get(&name).cloned().or_else(|| default(key).filter(|_| at == 0));
                match setting {
                    // What cannot be asked for is told only when somebody asks for it.
                    None | Some(Setting { origin: Origin::Default, .. }) if key.is_later() => {}
                    Some(Setting { value, origin }) => lines.push(format!("{name} = {value} ({origin})")),
                    None if at == 0 => lines.push(format!("{name} is not set")),
                    None => {}
                }
            }
        }
        // What stands in a free section may be a store's key.
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

fn unsupported(what: &str, origin: &Origin) -> Problem {
    usage(format!("{what} is not supported yet, {origin}"))
}

fn default(key: &Key) -> Option<Setting> {
    Some(Setting { value: key.kind.parse(key.default?, None)?, origin: Origin::Default })
}

/// The values as they are read: a later one replaces an earlier one.
struct Layers {
    known: BTreeMap<String, Kind>,
    settings: BTreeMap<String, Setting>,
    sections: BTreeSet<String>,
}

/// A key that nobody declared.
struct Unknown;

impl Layers {
    fn new() -> Self {
        let known = KEYS.iter().flat_map(|key| key.names().map(|name| (name, key.kind))).collect();
        Self { known, settings: BTreeMap::new(), sections: BTreeSet::new() }
    }

    fn find(&self, name: &str) -> Result<Kind, Unknown> {
        let within = |section: &&str| name.strip_prefix(*section).is_some_and(|rest| rest.starts_with('.'));
        match self.known.get(name) {
            Some(kind) => Ok(*kind),
            None if FREE_SECTIONS.iter().any(within) => Ok(Kind::Text),
            None => Err(Unknown),
        }
    }

    fn is_section(&self, name: &str) -> bool {
        let below = format!("{name}.");
        FREE_SECTIONS.contains(&name) || self.known.keys().any(|known| known.starts_with(&below))
    }

    fn section(&mut self, name: &str) {
        self.sections.insert(name.to_owned());
    }

    fn unknown(&self, name: &str, origin: &Origin) -> anyhow::Error {
        let hint = match nearest(name, self.known.keys().map(String::as_str)) {
            Some(known) => format!("the nearest known key is `{known}`; `copilot-lake --help` lists them all"),
            None => "`copilot-lake --help` lists the keys".to_owned(),
        };
        usage(format!("unknown key `{name}`, {origin}")).hint(hint).into()
    }

    fn put(&mut self, name: &str, kind: Kind, value: Option<Value>, shown: &str, origin: Origin) -> Result<()> {
        let Some(value) = value else {
            let but = match kind.may_show(shown) {
                true if shown.is_empty() => ", but is empty".to_owned(),
                true => format!(", but is `{shown}`"),
                false => String::new(),
            };
            return Err(usage(format!("`{name}` must be {}{but}, {origin}", kind.form()))
                .hint(format!("correct `{name}`, or remove it to have the default"))
                .into());
        };
        self.settings.insert(name.to_owned(), Setting { value, origin });
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str, origin: Origin) -> Result<()> {
        let kind = self.find(name).map_err(|_| self.unknown(name, &origin))?;
        self.put(name, kind, kind.parse(text, None), text, origin)
    }

    /// `COPILOT_LAKE_SECTION__KEY`.
    fn variable(&mut self, variable: Variable) -> Result<()> {
        let path = variable.name.strip_prefix(environment::PREFIX).unwrap_or_default();
        let name = path.to_lowercase().replace("__", ".");
        if self.find(&name).is_err() {
            let names: Vec<_> = self.known.keys().map(|known| variable_name(known)).collect();
            let known = nearest(&variable.name, names.iter().map(String::as_str)).unwrap_or_default();
            // Without two underscores it is no key; unless it nearly is one, it is somebody else's.
            if !path.contains("__") && distance(&variable.name, known) > 2 {
                return Ok(());
            }
            return Err(usage(format!("unknown key in the environment variable `{}`", variable.name))
                .hint(format!("the nearest known one is `{known}`; sections and keys are joined by two underscores"))
                .into());
        }
        self.text(&name, &variable.value, Origin::Environment(variable.name))
    }

    /// `section.key=value`.
    fn assignment(&mut self, assignment: &str) -> Result<()> {
        let Some((name, text)) = assignment.split_once('=') else {
            // What stands there may be a secret: it is not repeated.
            return Err(usage("`--set` takes section.key=value").hint("as in `--set dataverse.page_size=1000`").into());
        };
        self.text(name.trim(), text, Origin::Set)
    }
}

/// The environment variable of a key.
pub(crate) fn variable_name(name: &str) -> String {
    format!("{}{}", environment::PREFIX, name.replace('.', "__").to_uppercase())
}

#[cfg(test)]
mod tests;
