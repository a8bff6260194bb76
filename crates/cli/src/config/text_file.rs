//! Text files that the configuration or a flag names.

use std::path::Path;

use copilot_lake_extractor::{NotText, text_of};
use copilot_lake_writer::{Remedy, SystemFailure};

use crate::output::remedy::advice;
use crate::problem::{Problem, usage};

/// What to do with a file that is not UTF-8.
const SAVE_AS_UTF_8: &str =
    "save it as UTF-8: in Notepad below `Save as`, in PowerShell with `Set-Content -Encoding utf8`";

/// Reads a text file without its byte-order mark. Messages name it as `what`, and as `at` the setting that refers to it
/// (with a leading comma, or empty); `hint` says what to do if it cannot be read.
pub(crate) fn read(path: &Path, what: &str, at: &str, hint: &str) -> Result<String, Problem> {
    let bytes = bytes(path, what, at, hint)?;
    text_of(&bytes).map(str::to_owned).map_err(|problem| not_text(path, what, at, problem))
}

/// Reads certificates; comments between them may be in any charset.
pub(crate) fn read_pem(path: &Path, what: &str, at: &str, hint: &str) -> Result<Vec<u8>, Problem> {
    let bytes = bytes(path, what, at, hint)?;
    match text_of(&bytes) {
        Err(NotText::Utf16) => Err(not_text(path, what, at, NotText::Utf16)),
        Ok(_) | Err(NotText::NotUtf8) => Ok(bytes),
    }
}

fn bytes(path: &Path, what: &str, at: &str, hint: &str) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| {
        let hint = SystemFailure::of(&error).map_or(hint, |failure| advice(Remedy::OfSystem(failure)));
        usage(format!("cannot read {what}: {}{at}", reason(&error))).hint(hint)
    })
}

fn not_text(path: &Path, what: &str, at: &str, problem: NotText) -> Problem {
    let is = match problem {
        NotText::Utf16 => "is UTF-16",
        NotText::NotUtf8 => "is not UTF-8",
    };
    let path = path.display().to_string();
    let named = if what.contains(&path) { String::new() } else { format!(", `{path}`,") };
    usage(format!("{what}{named} {is}{at}")).hint(SAVE_AS_UTF_8)
}

/// The operating system's message without its error number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}
