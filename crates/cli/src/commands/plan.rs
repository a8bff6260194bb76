//! `plan`: what `extract` would fetch.

use std::io::Write;

use anyhow::Result;
use copilot_lake_pipeline::{CALLS_PER_HOUR, DataverseEstimate, GraphEstimate, RunOptions, ServiceEstimate};

use crate::args::{GlobalArgs, PlanArgs};
use crate::commands::extract;
use crate::config::Config;
use crate::output::console::Console;
use crate::output::table::aligned;
use crate::output::wording::{counted, grouped, seconds};

/// Runs `plan`.
pub(crate) async fn run_plan(args: &PlanArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    let options = RunOptions { full: args.full, ..RunOptions::default() };
    let settings =
        extract::run_settings("plan", (&args.source, &args.table), options, &Config::from_flags(global)?, console)?;
    let estimates = copilot_lake_pipeline::estimate(settings).await?;
    let texts: Vec<_> = estimates.iter().map(text).collect();
    std::io::stdout().lock().write_all(texts.join("\n").as_bytes())?;
    Ok(())
}

fn text(estimate: &ServiceEstimate) -> String {
    match estimate {
        ServiceEstimate::Dataverse(estimate) => dataverse_text(estimate),
        ServiceEstimate::Graph(estimate) => graph_text(estimate),
    }
}

fn graph_text(graph: &GraphEstimate) -> String {
    let unknown = match graph.unknown {
        0 => String::new(),
        unknown => format!(", {} of the names that are listed unknown", grouped(unknown)),
    };
    let took = seconds((graph.hours() * 3600.0).max(0.1));
    format!(
        "ai_interaction: {} in scope, {} due{unknown}; {} in the lake\n\
         {} for users, and {} for histories at least: {took} at {} a second. Histories that were not read before may\n\
         have more pages than one.\n",
        counted(graph.users, "user"),
        grouped(graph.due),
        counted(graph.rows_in_lake, "row"),
        counted(graph.user_calls, "call"),
        counted(graph.history_calls, "call"),
        graph.requests_per_second,
    )
}

fn dataverse_text(estimate: &DataverseEstimate) -> String {
    let mut rows = vec![["TABLE", "SLICES", "ROWS", "IN LAKE", "PAGES", "PAYLOADS"].map(str::to_owned)];
    for table in &estimate.tables {
        let service = match (table.absent, table.rows) {
            (true, _) => "no such table".to_owned(),
            (false, Some(rows)) => grouped(rows),
            (false, None) => "unknown".to_owned(),
        };
        let payloads = grouped(table.payloads_known + table.payloads_expected);
        rows.push([
            table.table.to_owned(),
            grouped(table.slices),
            service,
            grouped(table.rows_in_lake),
            grouped(table.page_calls),
            payloads,
        ]);
    }
    let mut text = aligned(rows, &[1, 2, 3, 4, 5]);
    let took = seconds((estimate.hours() * 3600.0).max(0.1));
    text.push_str(&format!(
        "\n{}, {took} at {} calls an hour. The service's counts may be a day old; payloads of rows that are still to be\nread are estimated.\n",
        counted(estimate.calls(), "call"),
        grouped(CALLS_PER_HOUR),
    ));
    text
}

#[cfg(test)]
mod tests {
    use copilot_lake_pipeline::TableEstimate;

    use super::*;

    #[test]
    fn says_users_requests_and_hours() {
        let graph = GraphEstimate {
            users: 200_000,
            due: 199_000,
            unknown: 1,
            rows_in_lake: 5,
            user_calls: 201,
            history_calls: 398_000,
            requests_per_second: 24.0,
        };
        let text = text(&ServiceEstimate::Graph(graph));
        assert!(text.starts_with("ai_interaction: 200,000 users in scope, 199,000 due, 1 of the names"), "{text}");
        assert!(text.contains("398,000 calls for histories at least: 4 h 36 min at 24 a second"), "{text}");
    }

    #[test]
    fn says_calls_and_hours() {
        let known = TableEstimate {
            table: "t",
            slices: 13,
            rows: Some(1_000_000),
            page_calls: 213,
            payloads_expected: 287_787,
            ..TableEstimate::default()
        };
        let absent = TableEstimate { table: "u", absent: true, ..TableEstimate::default() };
        let estimate = DataverseEstimate { tables: vec![known, absent], ..DataverseEstimate::default() };
        let text = text(&ServiceEstimate::Dataverse(estimate));
        assert!(text.starts_with("TABLE  SLICES           ROWS  IN LAKE  PAGES  PAYLOADS\n"), "{text}");
        assert!(text.contains("\nt          13      1,000,000        0    213   287,787\n"), "{text}");
        assert!(text.contains("no such table"), "{text}");
        assert!(text.contains("\n288,000 calls, 4 h 0 min at 72,000 calls an hour."), "{text}");
    }
}
