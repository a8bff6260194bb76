//! Commit information: which program made a commit, and whether it left the table's folder clean.

use serde_json::Value;

/// Keys in the commit information of this program: the run, and whether, as far as the writer knows, the folder holds
/// only files of this version.
pub(crate) const RUN: &str = "copilotLake.run";
pub(crate) const CLEAN: &str = "copilotLake.clean";

/// Who made the newest commit of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewestCommit {
    /// This program, and it left only the table's files in the folder.
    Clean,
    /// This program.
    Own,
    /// Another tool.
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

/// Whether a log entry, perhaps truncated, was made by this program.
pub(crate) fn is_own_entry(entry: &[u8]) -> bool {
    let first = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.starts_with("{\"commitInfo\"") && [RUN, CLEAN].iter().any(|key| first.contains(&format!("\"{key}\":")))
}

/// The `commitInfo` action of a log entry.
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
