//! What a commit says of itself: whose it is, and what its writer knew of the folder.

use serde_json::Value;

/// What commits of this program say: the run, and whether the folder holds nothing but the files of this version, as far as
/// its writer knows.
pub(crate) const RUN: &str = "copilotLake.run";
pub(crate) const CLEAN: &str = "copilotLake.clean";

/// Whose the newest commit of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewestCommit {
    /// This program's, and it says that nothing but the table's files is in the folder.
    Clean,
    /// This program's.
    Own,
    /// Another tool's.
    Foreign,
}

impl NewestCommit {
    /// Reads a log entry.
    pub(crate) fn from_entry(entry: &[u8]) -> Self {
        match commit_info(entry) {
            Some(info) if info[CLEAN] == true => Self::Clean,
            Some(info) if info[CLEAN] == false || info[RUN].is_string() => Self::Own,
            _ => Self::Foreign,
        }
    }
}

/// Whether a log entry, perhaps cut, is one that this program made.
pub(crate) fn is_own_entry(entry: &[u8]) -> bool {
    let first = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.starts_with("{\"commitInfo\"") && [RUN, CLEAN].iter().any(|key| first.contains(&format!("\"{key}\":")))
}

/// What a log entry says of its commit.
fn commit_info(entry: &[u8]) -> Option<Value> {
    let actions = entry.split(|byte| *byte == b'\n');
    let is_info = |line: &&[u8]| line.starts_with(b"{\"commitInfo\"");
    actions.filter(is_info).find_map(|line| Some(serde_json::from_slice::<Value>(line).ok()?["commitInfo"].take()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_known_by_what_it_says() {
        let cases = [
            (r#"{"commitInfo":{"copilotLake.clean":true,"copilotLake.run":"r"}}"#, NewestCommit::Clean),
            (r#"{"commitInfo":{"copilotLake.clean":false}}"#, NewestCommit::Own),
            // As version 1 wrote it.
            (r#"{"commitInfo":{"copilotLake.run":"r"}}"#, NewestCommit::Own),
            (r#"{"commitInfo":{"operation":"OPTIMIZE"}}"#, NewestCommit::Foreign),
            (r#"{"add":{"path":"a.parquet"}}"#, NewestCommit::Foreign),
            ("", NewestCommit::Foreign),
        ];
        for (entry, expected) in cases {
            assert_eq!(NewestCommit::from_entry(entry.as_bytes()), expected, "{entry}");
        }
        let after = format!("{{\"remove\":{{}}}}\n{}", cases[0].0);
        assert_eq!(NewestCommit::from_entry(after.as_bytes()), NewestCommit::Clean);
    }
}
