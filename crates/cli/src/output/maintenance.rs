//! What a maintenance did, or would do: a line per table for people, one JSON object for programs.

use copilot_lake_pipeline::{MaintenanceReport, TableMaintenance};
use copilot_lake_tables::Instant;
use serde_json::{Map, Value, json};

use crate::config::moment;
use crate::output::printable::clean_value;
use crate::output::wording::{bytes, counted, seconds};
use crate::problem::{ExitCode, Problem};

/// A line about a table.
pub(crate) fn line(table: &TableMaintenance, dry_run: bool) -> String {
    let mut parts = Vec::new();
    if table.files_merged > 0 {
        let of_weeks =
            if table.weeks > 1 { format!(" of {}", counted(table.weeks as u64, "week")) } else { String::new() };
        let before = if table.bytes_merged > 0 { format!(" ({})", bytes(table.bytes_merged)) } else { String::new() };
        let after = table.bytes_written.map(|after| format!(" ({})", bytes(after))).unwrap_or_default();
        let (files, into) = (counted(table.files_merged as u64, "small file"), table.files_written);
        let about = if dry_run { "about " } else { "" };
        parts.push(format!("{files}{of_weeks}{before} merged into {about}{into}{after}"));
    }
    if table.files_kept > 0 {
        let files = counted(table.files_kept as u64, "file");
        parts.push(format!("{files} with columns of another tool left as they are"));
    }
    if table.files_deleted > 0 {
        let files = counted(table.files_deleted as u64, "file");
        parts.push(format!("{files} ({}) that the table no longer needs deleted", bytes(table.bytes_deleted)));
    }
    if table.archive_files_deleted > 0 {
        let files = counted(table.archive_files_deleted as u64, "file");
        parts.push(format!("{files} ({}) of unfinished archives deleted", bytes(table.archive_bytes_deleted)));
    }
    if table.checkpoint {
        parts.push("a checkpoint written".to_owned());
    }
    format!("{}: {}", table.table, parts.join(", "))
}

/// A line about shards of a replay that were killed; `None` if they left nothing.
pub(crate) fn shard_line(report: &MaintenanceReport) -> Option<String> {
    let files = counted(report.shard_files_deleted as u64, "file");
    let line = || format!("killed shards: {files} ({}) deleted", bytes(report.shard_bytes_deleted));
    (report.shard_files_deleted > 0).then(line)
}

/// A line about uploads of runs that were killed; `None` if there were none.
pub(crate) fn upload_line(report: &MaintenanceReport) -> Option<String> {
    let line = || format!("killed runs: {} aborted", counted(report.uploads_aborted as u64, "unfinished upload"));
    (report.uploads_aborted > 0).then(line)
}

/// The last line.
pub(crate) fn last_line(report: &MaintenanceReport) -> String {
    let took = seconds(report.seconds);
    let is_nothing = report.tables.is_empty() && report.shard_files_deleted == 0 && report.uploads_aborted == 0;
    match (is_nothing, report.dry_run) {
        (true, _) if report.stopped_tables.is_empty() && !report.stopped => {
            format!("nothing to do, found out in {took}")
        }
        (_, true) => "nothing was changed: without `--dry-run` this is done".to_owned(),
        _ => format!("{} in {took}", report.outcome.name()),
    }
}

/// The summary for programs.
pub(crate) fn summary(
    started_at: Instant,
    report: Option<&MaintenanceReport>,
    problem: Option<&Problem>,
) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("version", json!(env!("CARGO_PKG_VERSION")));
    put("command", json!("maintain"));
    put("started_at", json!(started_at.to_string()));
    put("finished_at", json!(moment::now().to_string()));
    put("exit_code", json!(problem.map_or(ExitCode::Complete, |problem| problem.code) as u8));
    put("error", json!(problem.map(|problem| &problem.message)));
    put("hint", json!(problem.and_then(|problem| problem.hint.as_ref())));
    match report.map(serde_json::to_value) {
        Some(Ok(Value::Object(report))) => object.extend(report),
        _ => {
            put("run_id", Value::Null);
            put("outcome", json!("failed"));
            put("tables", json!([]));
        }
    }
    object.values_mut().for_each(clean_value);
    object
}

#[cfg(test)]
mod tests {
    use copilot_lake_pipeline::RunOutcome;

    use super::*;

    #[test]
    fn a_line_says_what_there_is_to_say() {
        let merged = TableMaintenance {
            table: "t",
            weeks: 3,
            files_merged: 37,
            bytes_merged: 5 << 20,
            files_written: 3,
            ..TableMaintenance::default()
        };
        assert_eq!(line(&merged, true), "t: 37 small files of 3 weeks (5.0 MiB) merged into about 3");
        let done = TableMaintenance { bytes_written: Some(1 << 20), checkpoint: true, ..merged };
        assert_eq!(
            line(&done, false),
            "t: 37 small files of 3 weeks (5.0 MiB) merged into 3 (1.0 MiB), a checkpoint written"
        );
        let deleted =
            TableMaintenance { table: "t", files_deleted: 1, bytes_deleted: 7, ..TableMaintenance::default() };
        assert_eq!(line(&deleted, false), "t: 1 file (7 bytes) that the table no longer needs deleted");
        let archived = TableMaintenance { archive_files_deleted: 2, archive_bytes_deleted: 9, ..deleted };
        assert!(line(&archived, false).ends_with(" deleted, 2 files (9 bytes) of unfinished archives deleted"));
    }

    #[test]
    fn what_killed_shards_and_runs_left_is_said() {
        let report = |files, uploads| MaintenanceReport {
            run_id: None,
            dry_run: false,
            outcome: RunOutcome::Complete,
            stopped: false,
            stopped_tables: vec![],
            seconds: 0.0,
            tables: vec![],
            shard_files_deleted: files,
            shard_bytes_deleted: 7,
            uploads_aborted: uploads,
        };
        assert_eq!(shard_line(&report(2, 0)).unwrap(), "killed shards: 2 files (7 bytes) deleted");
        assert_eq!(upload_line(&report(0, 1)).unwrap(), "killed runs: 1 unfinished upload aborted");
        assert_eq!((shard_line(&report(0, 1)), upload_line(&report(2, 0))), (None, None));
        assert!([(2, 0), (0, 1)].iter().all(|of| last_line(&report(of.0, of.1)).starts_with("complete in ")));
        assert!(last_line(&report(0, 0)).starts_with("nothing to do"));
    }
}
