//! The status of a lake: tables and what to do for people, one JSON object for monitors.

use copilot_lake_pipeline::{FailureGroup, LakeStatus, RunStatus, SliceStatus, TableStatus};
use copilot_lake_tables::{Instant, Table};
use serde_json::{Map, Value, json};

use crate::output::printable::{clean_value, cleaned};
use crate::output::remedy::advice;
use crate::output::table::aligned;
use crate::output::wording::{counted, grouped, seconds};

/// A lake without a run for so long is told.
const QUIET_SECONDS: i64 = 2 * Instant::DAY_SECONDS;

/// The status for people.
pub(crate) fn text(status: &LakeStatus) -> String {
    let mut parts = vec![tables(status)];
    parts.extend(payloads(status));
    parts.push(runs(status));
    let list = |lines: Vec<String>| lines.iter().map(|line| format!("- {}\n", cleaned(line))).collect::<String>();
    let skipped = list(skipped(status));
    if !skipped.is_empty() {
        parts.push(format!("skipped, because the service does not serve it:\n{skipped}"));
    }
    let hints = list(hints(status));
    parts.push(if hints.is_empty() { "nothing to do\n".to_owned() } else { format!("what to do:\n{hints}") });
    parts.join("\n")
}

/// The status for programs: the fields of [`LakeStatus`], with totals.
pub(crate) fn json(status: &LakeStatus, lake: &str) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    let total = |of: fn(&TableStatus) -> u64| json!(status.tables.iter().map(of).sum::<u64>());
    put("version", json!(env!("CARGO_PKG_VERSION")));
    put("lake", json!(lake));
    put("failed_slices", total(|table| table.open.failed));
    put("skipped_slices", total(|table| table.open.skipped));
    put("payloads_due", total(|table| table.payloads.map_or(0, |payloads| payloads.due)));
    put("payloads_failed", total(|table| table.payloads.map_or(0, |payloads| payloads.failed)));
    put("stale_weeks", total(|table| table.stale_weeks.unwrap_or_default()));
    put("small_files", total(|table| table.small_files));
    put("problems", total(|table| u64::from(table.problem.is_some())));
    put("max_age_seconds", json!(status.tables.iter().filter(is_read_by_every_run).filter_map(age).max()));
    if let Ok(Value::Object(fields)) = serde_json::to_value(status) {
        object.extend(fields);
    }
    object.insert("hints".to_owned(), json!(hints(status)));
    object.values_mut().for_each(clean_value);
    Value::Object(object).to_string()
}

fn age(table: &TableStatus) -> Option<i64> {
    table.freshness.age_seconds
}

/// Whether every run moves how far a table reaches: people are read only when rows name new ones.
fn is_read_by_every_run(table: &&TableStatus) -> bool {
    !copilot_lake_tables::table(table.table).is_some_and(Table::is_dimension)
}

fn tables(status: &LakeStatus) -> String {
    let head = ["TABLE", "ROWS", "READ FROM", "READ UNTIL", "AGE", "FAILED", "SKIPPED", "FILES", "SMALL"];
    let row = |table: &TableStatus| {
        let from = match table.freshness.is_from_beginning() {
            true => "the beginning".to_owned(),
            false => time(table.freshness.read_from),
        };
        let slices = |number: u64| {
            if table.freshness.read_until.is_some() || number > 0 { grouped(number) } else { String::new() }
        };
        [
            table.table.to_owned(),
            grouped(table.rows),
            from,
            time(table.freshness.read_until),
            age(table).map(age_text).unwrap_or_default(),
            slices(table.open.failed),
            slices(table.open.skipped),
            grouped(table.files),
            grouped(table.small_files),
        ]
    };
    aligned(std::iter::once(head.map(str::to_owned)).chain(status.tables.iter().map(row)), &[1, 4, 5, 6, 7, 8])
}

fn payloads(status: &LakeStatus) -> Option<String> {
    let head = ["PAYLOADS OF", "WEEKS", "COMPLETE", "DUE", "FAILED"].map(str::to_owned);
    let row = |table: &TableStatus| {
        let payloads = table.payloads?;
        let numbers = [payloads.weeks, payloads.complete_weeks, payloads.due, payloads.failed].map(grouped);
        let [weeks, complete, due, failed] = numbers;
        Some([table.table.to_owned(), weeks, complete, due, failed])
    };
    let rows: Vec<_> = status.tables.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| aligned(std::iter::once(head).chain(rows), &[1, 2, 3, 4]))
}

fn runs(status: &LakeStatus) -> String {
    let head = ["RUN", "COMMAND", "STARTED", "TOOK", "OUTCOME", "ROWS", "FAILED", "SKIPPED"].map(str::to_owned);
    let count =
        |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).map(grouped).unwrap_or_default();
    let row = |run: &RunStatus| {
        let failed = run.slices_failed.zip(run.payloads_failed).map(|(slices, payloads)| slices + payloads);
        [
            cleaned(&run.run_id).into_owned(),
            cleaned(&run.command).into_owned(),
            time(run.started_at),
            run.seconds.map(|took| seconds(took as f64)).unwrap_or_default(),
            run.outcome.as_deref().map_or("not ended".to_owned(), |outcome| cleaned(outcome).into_owned()),
            count(run.rows_written),
            count(failed),
            count(run.slices_skipped),
        ]
    };
    aligned(std::iter::once(head).chain(status.runs.iter().map(row)), &[3, 5, 6, 7])
}

/// What to do, where something is wrong.
fn hints(status: &LakeStatus) -> Vec<String> {
    let mut hints = Vec::new();
    // Maintenance reads no service: it says nothing of the schedule.
    if let Some(run) = status.runs.iter().find(|run| run.reads_service()) {
        let quiet = run.started_at.map(|start| (status.at.0 - start.0) / 1_000_000).filter(|age| *age > QUIET_SECONDS);
        if let Some(quiet) = quiet {
            hints.push(format!("no run has started for {}: check the scheduler and its log", age_text(quiet)));
        }
        match run.outcome.as_deref() {
            None if quiet.is_some() => {
                hints.push(format!("run {} was killed: the next `copilot-lake extract` does the rest", run.run_id));
            }
            None => hints.push(format!(
                "run {} has not ended: it is going on, or it was killed and the next `copilot-lake extract` does the rest",
                run.run_id
            )),
            Some("partial" | "failed") => {
                hints.push("the last run is not complete: `copilot-lake extract` does the rest".to_owned());
            }
            _ => {}
        }
    }
    for table in &status.tables {
        if let Some(problem) = &table.problem {
            let remedy = table.remedy.map(|remedy| format!("; {}", advice(remedy))).unwrap_or_default();
            hints.push(format!("{problem}{remedy}"));
        }
        let failed = table.open.groups.iter().filter(|group| group.status == SliceStatus::Failed);
        hints.extend(failed.map(|group| format!("{}; the next run requests it again", words(table, group))));
        if let Some(weeks) = table.stale_weeks.filter(|weeks| *weeks > 0) {
            let weeks = counted(weeks, "week");
            hints.push(format!("{}: {weeks} not made from the newest rows; the next run rebuilds it", table.table));
        }
        if let Some(payloads) = table.payloads.filter(|payloads| payloads.due > 0) {
            let failed = if payloads.failed > 0 {
                format!(", {} of them failed before", grouped(payloads.failed))
            } else {
                String::new()
            };
            hints.push(format!("{}: the next run requests {}{failed}", table.table, counted(payloads.due, "payload")));
        }
    }
    hints
}

/// What was skipped and has not been read since.
fn skipped(status: &LakeStatus) -> Vec<String> {
    let groups = status.tables.iter().flat_map(|table| table.open.groups.iter().map(move |group| (table, group)));
    let skipped = groups.filter(|(_, group)| group.status == SliceStatus::Skipped);
    skipped.map(|(table, group)| words(table, group)).collect()
}

fn words(table: &TableStatus, group: &FailureGroup) -> String {
    let FailureGroup { reason, slices, window_start, window_end, .. } = group;
    let slices = match (table.users.is_some(), *slices) {
        (false, slices) => counted(slices, "slice"),
        (true, 1) => "1 history".to_owned(),
        (true, slices) => format!("{} histories", grouped(slices)),
    };
    let window = match group.is_from_beginning() {
        true => format!("before {window_end}"),
        false => format!("between {window_start} and {window_end}"),
    };
    format!("{}: {slices} {window}: {reason}", table.table)
}

fn time(at: Option<Instant>) -> String {
    at.map(|at| at.floor_second().to_string()).unwrap_or_default()
}

/// An age in whole days once it has two of them.
fn age_text(age: i64) -> String {
    match age / Instant::DAY_SECONDS {
        0 | 1 => seconds(age as f64),
        days => counted(days as u64, "day"),
    }
}

#[cfg(test)]
mod tests {
    use copilot_lake_pipeline::{Freshness, OpenFailures, PayloadStatus};

    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn status(outcome: Option<&str>, tables: Vec<TableStatus>) -> LakeStatus {
        let run = RunStatus {
            run_id: "20251105".to_owned(),
            command: "extract".to_owned(),
            started_at: Some(at("2025-11-05T10:00:00Z")),
            outcome: outcome.map(str::to_owned),
            ..RunStatus::default()
        };
        LakeStatus { at: at("2025-11-05T12:00:00Z"), last_complete_at: None, tables, runs: vec![run] }
    }

    fn event(failed: u64) -> TableStatus {
        let group = FailureGroup {
            status: SliceStatus::Failed,
            reason: "status\u{1b}[31m 403".to_owned(),
            slices: failed,
            window_start: at("2025-11-02"),
            window_end: at("2025-11-03"),
            last_failed_at: at("2025-11-05"),
        };
        let groups = if failed > 0 { vec![group] } else { vec![] };
        TableStatus {
            table: "msdyn_copilotevent",
            rows: 1_234,
            files: 3,
            freshness: Freshness {
                read_from: Some(at("1753-01-01")),
                read_until: Some(at("2025-11-05T09:00:00Z")),
                age_seconds: Some(10_800),
            },
            open: OpenFailures { failed, skipped: 0, groups },
            payloads: Some(PayloadStatus { weeks: 4, complete_weeks: 4 - failed, due: failed, failed }),
            ..TableStatus::default()
        }
    }

    #[test]
    fn a_healthy_lake_has_nothing_to_do() {
        let text = text(&status(Some("complete"), vec![event(0)]));
        let line = "msdyn_copilotevent  1,234  the beginning  2025-11-05T09:00:00Z  3 h 0 min       0        0      3      0\n";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("\nnothing to do\n"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let text = text(&status(Some("partial"), vec![event(1)]));
        for part in [
            "`copilot-lake extract` does the rest",
            "msdyn_copilotevent: 1 slice between 2025-11-02T00:00:00Z and 2025-11-03T00:00:00Z: status [31m 403; the next run",
            "the next run requests 1 payload, 1 of them failed before",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        let mut later = status(None, vec![]);
        assert!(super::text(&later).contains("has not ended"));
        later.at = at("2025-11-09T12:00:00Z");
        let text = super::text(&later);
        assert!(text.contains("no run has started for 4 days") && text.contains("was killed"), "{text}");
    }

    #[test]
    fn the_json_has_totals_and_clean_texts() {
        let people = TableStatus {
            table: "systemuser",
            freshness: Freshness { age_seconds: Some(1_000_000), ..Freshness::default() },
            ..TableStatus::default()
        };
        let text = json(&status(None, vec![event(2), people]), "./lake");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["failed_slices"], &value["payloads_due"]), (&2.into(), &2.into()), "{text}");
        assert_eq!((&value["max_age_seconds"], &value["problems"]), (&10_800.into(), &0.into()), "{text}");
        let table = &value["tables"][0];
        assert_eq!((&table["read_until"], &table["failed_slices"]), (&"2025-11-05T09:00:00Z".into(), &2.into()));
        assert_eq!((&table["failures"][0]["status"], &table["users"]), (&"failed".into(), &Value::Null));
        assert_eq!((&value["at"], &value["runs"][0]["outcome"]), (&"2025-11-05T12:00:00Z".into(), &Value::Null));
        assert!(!text.contains("\\u001b"), "{text}");
    }
}
