//! A value of the configuration and its origin.

use std::fmt;
use std::path::PathBuf;

use super::value::ConfigValue;

/// A value and its origin.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) value: ConfigValue,
    pub(crate) origin: SettingOrigin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingOrigin {
    /// The key's default.
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

impl SettingOrigin {
    /// Its precedence: the greater of two wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Set => 3,
            Self::Flag(_) => 4,
        }
    }
}

impl fmt::Display for SettingOrigin {
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
