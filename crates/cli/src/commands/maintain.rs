//! `maintain`: few files, short logs, nothing that is no longer needed.

use std::io::Write;

use anyhow::Result;
use copilot_lake_pipeline::{MaintenanceReport, RunOutcome, TableMaintenance};
use copilot_lake_tables::{TABLES, Table, table};

use crate::args::{GlobalArgs, MaintainArgs};
use crate::commands::lake;
use crate::config::{Config, moment, secrecy};
use crate::exit;
use crate::nearest::hint;
use crate::output::console::{Console, Level};
use crate::output::maintenance::{last_line, line, shard_line, summary, upload_line};
use crate::output::remedy::advice;
use crate::problem::{ExitCode, Problem, usage};
use crate::signals;

/// Runs `maintain` and prints what it did, or with `--dry-run` what it would do.
pub(crate) async fn run_maintain(args: &MaintainArgs, global: GlobalArgs, console: &Console) -> Result<ExitCode> {
    let started_at = moment::now();
    let (report, problem) = match maintain(args, global, console).await {
        Ok(report) => {
            let problem = problem(&report);
            (Some(report), problem)
        }
        Err(error) => (None, Some(exit::problem(&error))),
    };
    if let Some(report) = &report {
        let rest = shard_line(report).into_iter().chain(upload_line(report)).chain([last_line(report)]);
        if report.dry_run {
            let lines = report.tables.iter().map(|table| line(table, true)).chain(rest);
            let lines: String = lines.map(|line| format!("{line}\n")).collect();
            std::io::stdout().lock().write_all(lines.as_bytes())?;
        } else if !console.is_json() {
            rest.for_each(|line| console.info(&line));
        }
    }
    if let Some(problem) = &problem {
        console.problem(problem);
    }
    if console.is_json() {
        console.event(Level::Info, "summary", "", summary(started_at, report.as_ref(), problem.as_ref()));
    }
    Ok(problem.map_or(ExitCode::Complete, |problem| problem.code))
}

async fn maintain(args: &MaintainArgs, global: GlobalArgs, console: &Console) -> Result<MaintenanceReport> {
    let tables = tables(&args.table)?;
    let config = Config::from_flags(global)?;
    if args.dry_run {
        let lake = lake::existing(&config).await?;
        return Ok(copilot_lake_pipeline::plan_maintenance(&lake, &tables).await?);
    }
    let lake = lake::existing_to_write(&config).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let observe = |table: &TableMaintenance| console.info(&line(table, false));
    let run = copilot_lake_pipeline::maintain(&lake, &tables, &observe, stopped);
    let signal = async {
        signals::stop_requested().await;
        console.warning("stopping: files that are being merged have 20 s; press Ctrl-C again to stop at once");
        signals::exit_at_the_next(console);
        // Sending fails only if it has already ended.
        let _ = stop.send(true);
        tokio::time::sleep(signals::GRACE).await;
        Problem::new(ExitCode::Partial, "stopped by a signal; what was being merged stays as it was")
    };
    tokio::select! {
        report = run => Ok(report?),
        problem = signal => Err(problem.hint("run the same command again: it does the rest").into()),
    }
}

/// The tables of these names; all of them where none is named.
fn tables(names: &[String]) -> Result<Vec<&'static Table>> {
    if names.is_empty() {
        return Ok(TABLES.to_vec());
    }
    let mut tables: Vec<&'static Table> = Vec::new();
    for name in names {
        let Some(found) = table(name) else {
            let known = TABLES.iter().map(|table| table.name);
            let hint = hint("table", name, known, || "`copilot-lake tables` lists them all".to_owned());
            return Err(usage(format!("no table{}", secrecy::quoted(name))).hint(hint).into());
        };
        if !tables.iter().any(|table| table.name == found.name) {
            tables.push(found);
        }
    }
    Ok(tables)
}

/// What was left undone.
fn problem(report: &MaintenanceReport) -> Option<Problem> {
    let code = match report.outcome {
        RunOutcome::Complete => return None,
        RunOutcome::Partial => ExitCode::Partial,
        RunOutcome::Failed => ExitCode::Failed,
    };
    let mut reasons: Vec<_> = report.stopped_tables.iter().map(|of| of.error.to_string()).collect();
    if report.stopped {
        reasons.push("stopped by a signal".to_owned());
    }
    let remedy = report.stopped_tables.iter().find_map(|of| of.error.remedy());
    let hint = remedy.map_or("run the same command again: it does the rest", advice);
    Some(Problem::new(code, reasons.join("; ")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_once_or_not_at_all() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            tables(&names).map(|tables| tables.iter().map(|table| table.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["payload", "payload", "systemuser"]).unwrap(), ["payload", "systemuser"]);
        assert_eq!(names(&[]).unwrap().len(), TABLES.len());
        let problem = exit::problem(&names(&["payloads"]).unwrap_err());
        assert_eq!((problem.code, problem.message.as_str()), (ExitCode::Usage, "no table `payloads`"));
        assert!(problem.hint.unwrap().contains("`payload`"));
    }
}
