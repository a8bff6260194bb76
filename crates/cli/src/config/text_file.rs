//! Text files that the configuration or a flag names.

use std::path::Path;

use copilot_lake_extractor::{NotText, text_of};

use crate::exit::{Problem, usage};

/// What to do with a file that is not UTF-8.
const SAVE_AS_UTF_8: &str =
    "save it as UTF-8: in Notepad below `Save as`, in PowerShell with `Set-Content -Encoding utf8`";

/// Reads a text file without its byte-order mark. `what` it is, `at`: who names it, with a comma in front, or nothing;
/// `hint`: what to do when it cannot be read.
pub(crate) fn read(path: &Path, what: &str, at: &str, hint: &str) -> Result<String, Problem> {
    let bytes = std::fs::read(path)
        .map_err(|error| usage(format!("cannot read {what}: {}{at}", reason(&error))).hint(hint))?;
    text_of(&bytes).map(str::to_owned).map_err(|not_text| {
        let is = match not_text {
            NotText::Utf16 => "is UTF-16",
            NotText::NotUtf8 => "is not UTF-8",
        };
        let path = path.display().to_string();
        let named = if what.contains(&path) { String::new() } else { format!(", `{path}`,") };
        usage(format!("{what}{named} {is}{at}")).hint(SAVE_AS_UTF_8)
    })
}

/// The operating system's words without its error number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// Reads certificates: what stands between them may be in any charset.
pub(crate) fn read_pem(path: &Path, what: &str, at: &str, hint: &str) -> Result<Vec<u8>, Problem> {
    let bytes = std::fs::read(path)
        .map_err(|error| usage(format!("cannot read {what}: {}{at}", reason(&error))).hint(hint))?;
    match text_of(&bytes) {
        Err(NotText::Utf16) => read(path, what, at, hint).map(String::into_bytes),
        _ => Ok(bytes),
    }
}
