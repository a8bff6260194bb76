//! Why a command ends: exit code, message and hint.

use std::fmt;

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything requested is done.
    Complete = 0,
    /// Nothing was done.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Some of it is done and kept; a rerun resumes.
    Partial = 3,
    /// Another run holds the lake.
    Held = 4,
    /// Sign-in was refused, or a permission is missing for everything requested.
    Refused = 5,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// What went wrong and where, what to do next, and the exit code.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// A problem with that exit code.
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Bad usage or configuration.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    Problem::new(ExitCode::Usage, message)
}
