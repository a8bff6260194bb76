//! Commit information: which program made a commit, and what the table's folder holds besides the table's files.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::storage::paths;

/// Keys in the commit information of this program: the run; whether, as far as the writer knows, the folder holds only
/// files of this version; if it holds removed files besides, and nothing else, the oldest commit that removed some of
/// them, and when, in milliseconds.
pub(crate) const RUN: &str = "copilotLake.run";
const CLEAN: &str = "copilotLake.clean";
const KEPT_VERSION: &str = "copilotLake.keptVersion";
const KEPT_SINCE: &str = "copilotLake.keptSince";

/// Who made the newest commit of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewestCommit {
    /// This program, and what it knew of the folder.
    Own(FolderState),
    /// Another tool.
    Foreign,
}

/// What a table's folder holds besides the files of the newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderState {
    /// Nothing.
    Clean,
    /// Removed files that are kept for readers of older versions.
    KeepsRemoved(KeptFiles),
    /// Perhaps orphan files: only a listing tells.
    Unknown,
}

/// Removed files that are still in a table's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptFiles {
    /// No commit before this version removed any of them.
    pub(crate) version: u64,
    /// When the first of them were removed, in milliseconds.
    pub(crate) removed_at: i64,
}

impl NewestCommit {
    /// Reads a log entry.
    pub(crate) fn from_entry(entry: &[u8]) -> Self {
        match commit_info(entry) {
            Some(info) if info[CLEAN].is_boolean() || info[RUN].is_string() => Self::Own(FolderState::from_info(&info)),
            _ => Self::Foreign,
        }
    }
}

impl FolderState {
    fn from_info(info: &Value) -> Self {
        if info[CLEAN] == true {
            return Self::Clean;
        }
        match (info[KEPT_VERSION].as_u64(), info[KEPT_SINCE].as_i64()) {
            (Some(version), Some(removed_at)) => Self::KeepsRemoved(KeptFiles { version, removed_at }),
            _ => Self::Unknown,
        }
    }

    /// Adds it to commit information. Programs that do not know of kept files list the folder.
    pub(crate) fn add_to(self, info: &mut HashMap<String, Value>) {
        info.insert(CLEAN.to_owned(), json!(self == Self::Clean));
        if let Self::KeepsRemoved(KeptFiles { version, removed_at }) = self {
            info.insert(KEPT_VERSION.to_owned(), json!(version));
            info.insert(KEPT_SINCE.to_owned(), json!(removed_at));
        }
    }
}

/// Whether a log entry, perhaps truncated, was made by this program.
pub(crate) fn is_own_entry(entry: &[u8]) -> bool {
    let first = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.starts_with("{\"commitInfo\"") && [RUN, CLEAN].iter().any(|key| first.contains(&format!("\"{key}\":")))
}

/// Whether a commit of another tool may have made removed files part of the table again: no other tool gives a new file a
/// name of this program's.
pub(crate) fn may_restore_files(entry: &[u8]) -> bool {
    let is_restore = |info: &Value| info["operation"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("restore"));
    let adds_own = |line: &[u8]| {
        let action = serde_json::from_slice::<Value>(line).unwrap_or_default();
        let name = action["add"]["path"].as_str().and_then(|path| path.rsplit('/').next());
        name.is_some_and(paths::is_own_data_file)
    };
    commit_info(entry).as_ref().is_some_and(is_restore) || entry.split(|byte| *byte == b'\n').any(adds_own)
}

/// When the commit of a log entry was made, in milliseconds; `None` when it does not say.
pub(crate) fn committed_at(entry: &[u8]) -> Option<i64> {
    commit_info(entry)?["timestamp"].as_i64()
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
        let kept = FolderState::KeepsRemoved(KeptFiles { version: 7, removed_at: 1_000 });
        let own = NewestCommit::Own;
        let cases = [
            (r#"{"commitInfo":{"copilotLake.clean":true,"copilotLake.run":"r"}}"#, own(FolderState::Clean)),
            (r#"{"commitInfo":{"copilotLake.clean":false}}"#, own(FolderState::Unknown)),
            (
                r#"{"commitInfo":{"copilotLake.clean":false,"copilotLake.keptSince":1000,"copilotLake.keptVersion":7}}"#,
                own(kept),
            ),
            // As version 1 wrote it.
            (r#"{"commitInfo":{"copilotLake.run":"r"}}"#, own(FolderState::Unknown)),
            (r#"{"commitInfo":{"operation":"OPTIMIZE"}}"#, NewestCommit::Foreign),
            (r#"{"add":{"path":"a.parquet"}}"#, NewestCommit::Foreign),
            ("", NewestCommit::Foreign),
        ];
        for (entry, expected) in cases {
            assert_eq!(NewestCommit::from_entry(entry.as_bytes()), expected, "{entry}");
        }
        let after = format!("{{\"remove\":{{}}}}\n{}", cases[0].0);
        assert_eq!(NewestCommit::from_entry(after.as_bytes()), own(FolderState::Clean));
    }

    #[test]
    fn a_file_that_is_added_again_is_known_by_its_name() {
        let own =
            r#"{"add":{"path":"week_start=2025-06-22/part-0199b0c3d2e1-0123456789abcdef0123456789abcdef.parquet"}}"#;
        let other = r#"{"add":{"path":"part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet"}}"#;
        let (optimize, restore) =
            (r#"{"commitInfo":{"operation":"OPTIMIZE"}}"#, r#"{"commitInfo":{"operation":"RESTORE"}}"#);
        for (lines, expected) in [
            ([optimize, other], false),
            ([optimize, own], true),
            ([restore, other], true),
            ([other, own], true),
            ([other, "5"], false),
        ] {
            assert_eq!(may_restore_files(lines.join("\n").as_bytes()), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_written_of_a_folder_is_read_again() {
        let kept = KeptFiles { version: u64::from(u32::MAX), removed_at: 1_764_000_000_000 };
        for state in [FolderState::Clean, FolderState::Unknown, FolderState::KeepsRemoved(kept)] {
            let mut info = HashMap::new();
            state.add_to(&mut info);
            let entry = json!({ "commitInfo": info }).to_string();
            assert_eq!(NewestCommit::from_entry(entry.as_bytes()), NewestCommit::Own(state), "{entry}");
        }
    }
}
