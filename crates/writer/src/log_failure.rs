//! What is wrong with a table's log, in words.

use deltalake::DeltaTableError;

use crate::system_failure::{SystemFailure, in_words};

/// A longer text of a library says nothing more to a person.
const MAX_LENGTH: usize = 300;

/// What the kernel says of a log that lacks entries.
const GAP: &str = "found gap";

/// What is wrong with a log: no entry of it, which may hold values of rows, no backtrace and no dump of a structure.
pub(crate) fn log_in_words(error: &DeltaTableError) -> String {
    if SystemFailure::of(error).is_some() {
        return in_words(error);
    }
    if let DeltaTableError::InvalidJsonLog { version, .. } = error {
        return format!("version {version} is not JSON");
    }
    let text = error.to_string();
    if text.contains(GAP) {
        return match *versions(&text).as_slice() {
            [before, after, ..] => format!("the entries between version {before} and version {after} are missing"),
            _ => "entries are missing".to_owned(),
        };
    }
    // A backtrace begins on the second line.
    let line = text.lines().next().unwrap_or_default();
    let line = ["Kernel error: ", "Generic delta kernel error: "]
        .iter()
        .fold(line, |line, prefix| line.strip_prefix(prefix).unwrap_or(line));
    line.chars().take(MAX_LENGTH).collect::<String>().trim_end().to_owned()
}

/// The versions in the dump of log entries.
fn versions(text: &str) -> Vec<u64> {
    let numbers = text.split("version: ").skip(1).map(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    numbers.filter_map(|number| number?.parse().ok()).collect()
}
