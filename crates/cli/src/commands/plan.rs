//! `plan`: what `extract` would fetch.

use std::io::Write;

use anyhow::Result;
use copilot_lake_pipeline::{EstimatePart, RunOptions, ServiceEstimate};

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
    let rows = estimate.table.iter().map(|row| row.iter().map(words));
    let numbers: Vec<_> = (1..estimate.table.first().map_or(0, Vec::len)).collect();
    let table = if estimate.table.is_empty() { String::new() } else { aligned(rows, &numbers) };
    table + &estimate.text.iter().map(words).collect::<String>()
}

fn words(part: &EstimatePart) -> String {
    match part {
        EstimatePart::Text(text) => text.to_string(),
        EstimatePart::Number(number) => grouped(*number),
        EstimatePart::Counted(number, noun) => counted(*number, noun),
        // What takes next to no time takes some.
        EstimatePart::Seconds(number) => seconds(number.max(0.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &'static str) -> EstimatePart {
        EstimatePart::Text(text.into())
    }

    #[test]
    fn numbers_are_aligned_and_grouped() {
        use EstimatePart::{Counted, Number, Seconds};
        let estimate = ServiceEstimate {
            table: vec![
                vec![plain("TABLE"), plain("ROWS"), plain("PAGES")],
                vec![plain("t"), Number(1_000_000), Number(213)],
                vec![plain("u"), plain("no such table"), Number(0)],
            ],
            text: vec![Counted(288_000, "call"), plain(", "), Seconds(14_400.0), plain(" and "), Seconds(0.0)],
        };
        assert_eq!(
            text(&estimate),
            "TABLE           ROWS  PAGES\n\
             t          1,000,000    213\n\
             u      no such table      0\n\
             288,000 calls, 4 h 0 min and 0.1 s"
        );
        assert_eq!(text(&ServiceEstimate { table: vec![], ..estimate }), "288,000 calls, 4 h 0 min and 0.1 s");
    }
}
