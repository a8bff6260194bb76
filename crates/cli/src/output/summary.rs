//! The end of a run: lines per table for people, one JSON object for programs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use copilot_lake_pipeline::{IdentityReport, Report, TableReport};
use copilot_lake_tables::Instant;
use copilot_lake_writer::FileRights;
use serde_json::{Map, Value, json};

use crate::config::moment;
use crate::config::text_file::reason;
use crate::output::console::{Console, Level};
use crate::output::printable::clean_value;
use crate::output::wording::{counted, grouped, seconds};
use crate::problem::{ExitCode, Problem, usage};

/// The summary of a run.
pub(crate) struct Summary {
    command: &'static str,
    started_at: Instant,
    file: Option<PathBuf>,
    /// Who may read the file.
    pub(crate) rights: FileRights,
}

impl Summary {
    /// The summary of a run that starts now; also written to this file, if any.
    pub(crate) fn new(command: &'static str, file: Option<PathBuf>) -> Self {
        Self { command, started_at: moment::now(), file, rights: FileRights::Private }
    }

    /// Fails early if the file cannot be written at the end of the run; then no file is written.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if file.is_dir() || !folder.is_dir() {
            return Err(usage(format!("cannot write the summary `{}`", file.display()))
                .hint("name a file in a directory that exists with `--summary`")
                .into());
        }
        self.file = Some(file);
        Ok(())
    }

    /// Prints how the run ended. Returns the exit code: that of the problem, if there is one.
    pub(crate) fn report(&self, console: &Console, report: Option<&Report>, problem: Option<&Problem>) -> ExitCode {
        let mut code = problem.map_or(ExitCode::Complete, |problem| problem.code);
        let object = self.object(report, problem);
        if let Some(file) = &self.file {
            let mut text = Value::Object(object.clone()).to_string();
            text.push('\n');
            if let Err(error) = self.rights.write(file, text.as_bytes()) {
                let problem = Problem::new(
                    ExitCode::Failed,
                    format!("cannot write the summary `{}`: {}", file.display(), reason(&error)),
                )
                .hint(match report {
                    Some(_) => "what was extracted is in the lake; name another file with `--summary`",
                    None => "name another file with `--summary`",
                });
                console.problem(&problem);
                // A program that waits for the file must not take this for a complete run.
                code = if code == ExitCode::Complete { ExitCode::Partial } else { code };
            }
        }
        if console.is_json() {
            if let Some(problem) = problem {
                console.problem(problem);
            }
            console.event(Level::Info, "summary", "", object);
        } else {
            if let Some(report) = report {
                for line in lines(report) {
                    console.info(&line);
                }
            }
            if let Some(problem) = problem {
                console.problem(problem);
            }
        }
        code
    }

    fn object(&self, report: Option<&Report>, problem: Option<&Problem>) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("version", json!(env!("CARGO_PKG_VERSION")));
        put("command", json!(self.command));
        put("started_at", json!(self.started_at.to_string()));
        put("finished_at", json!(moment::now().to_string()));
        put("exit_code", json!(problem.map_or(ExitCode::Complete, |problem| problem.code) as u8));
        put("error", json!(problem.map(|problem| &problem.message)));
        put("hint", json!(problem.and_then(|problem| problem.hint.as_ref())));
        match report.map(serde_json::to_value) {
            Some(Ok(Value::Object(report))) => object.extend(report),
            _ => {
                put("run_id", Value::Null);
                // A run that was stopped before anything was read is no failure.
                let is_partial = problem.is_some_and(|problem| problem.code == ExitCode::Partial);
                put("outcome", json!(if is_partial { "partial" } else { "failed" }));
                put("tables", json!([]));
            }
        }
        object.values_mut().for_each(clean_value);
        object
    }
}

/// A line per table, and one for the run.
fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<_> = report.tables.iter().map(line).collect();
    let throttled = match report.throttled_seconds {
        0.0 => String::new(),
        throttled => format!(", throttled {}", seconds(throttled)),
    };
    lines.extend(report.identities.iter().map(identity_line));
    let (outcome, took) = (report.outcome.name(), seconds(report.seconds));
    lines.push(format!("{outcome} in {took}: {}{throttled}", counted(report.requests, "request")));
    lines
}

/// What one of several identities did.
fn identity_line(identity: &IdentityReport) -> String {
    let (service, name, requests) = (identity.service.name(), &identity.name, counted(identity.requests, "request"));
    let throttled = match identity.throttled_seconds {
        0.0 => String::new(),
        throttled => format!(", throttled {}", seconds(throttled)),
    };
    let ended = identity.ended.as_ref().map(|reason| format!("; then no longer used: {reason}")).unwrap_or_default();
    format!("{service}: identity `{name}`: {requests}{throttled}{ended}")
}

fn line(table: &TableReport) -> String {
    let is_sliced = copilot_lake_tables::table(table.table).is_none_or(|table| table.is_sliced());
    if !is_sliced && table.slices_done + table.slices_failed + table.slices_skipped + table.rows_received == 0 {
        // Its rows come with those of another table.
        return format!("{}: {} new or changed", table.table, counted(table.rows_written, "row"));
    }
    let mut parts = vec![format!("{} done", counted(table.slices_done, "slice"))];
    let mut some = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{} {what}", grouped(number)));
        }
    };
    some(table.slices_failed, "failed");
    some(table.slices_skipped, "skipped");
    let (received, written) = (counted(table.rows_received, "row"), grouped(table.rows_written));
    parts.push(format!("{received} received, {written} new or changed"));
    if table.payloads + table.payloads_failed > 0 {
        parts.push(counted(table.payloads, "payload"));
    }
    let mut some = |number: u64, what: &str| {
        if number > 0 {
            parts.push(counted(number, what));
        }
    };
    some(table.rows_deleted, "deleted row");
    some(table.payloads_failed, "failed payload");
    some(table.rejected, "rejected value");
    format!("{}: {}", table.table, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_there_is_to_say() {
        let table =
            TableReport { table: "t", slices_done: 1, rows_received: 2000, rows_written: 5, ..TableReport::default() };
        assert_eq!(line(&table), "t: 1 slice done, 2,000 rows received, 5 new or changed");
        let child = TableReport { table: "ai_interaction_link", rows_written: 1, ..TableReport::default() };
        assert_eq!(line(&child), "ai_interaction_link: 1 row new or changed");
        let table = TableReport { slices_failed: 2, payloads: 7, payloads_failed: 1, rejected: 3, ..table };
        assert_eq!(
            line(&table),
            "t: 1 slice done, 2 failed, 2,000 rows received, 5 new or changed, 7 payloads, 1 failed payload, 3 rejected values"
        );
    }

    #[test]
    fn a_run_that_never_started_has_a_summary_too() {
        let problem = usage("wrong").hint("right");
        let object = Summary::new("extract", None).object(None, Some(&problem));
        let value = |name: &str| object[name].clone();
        assert_eq!((value("exit_code"), value("error"), value("hint")), (json!(2), json!("wrong"), json!("right")));
        assert_eq!((value("outcome"), value("run_id"), value("tables")), (json!("failed"), Value::Null, json!([])));
    }
}
