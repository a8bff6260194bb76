//! `report`: a page about the use of Copilot, in one file.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use copilot_lake_tables::{Instant, views};
use copilot_lake_writer::{FileRights, Lake, reread};

use crate::args::{GlobalArgs, ReportArgs};
use crate::commands::engine::Engine;
use crate::commands::lake;
use crate::commands::outdated::expect_outdated;
use crate::commands::output_flag::output_target;
use crate::commands::parameters::Taken;
use crate::config::{Config, moment, settings};
use crate::environment;
use crate::output::console::Console;
use crate::output::output_target::OutputTarget;
use crate::output::wording::bytes;
use crate::report::{Figures, ReportParameters, page};

/// Runs `report`.
pub(crate) async fn run_report(args: ReportArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    let started = std::time::Instant::now();
    let now = moment::written_at(environment::source_date_epoch().as_deref())?;
    let chosen = Taken::by_report().read(&args.param)?;
    let config = Config::from_flags(global)?;
    let target = output_target(args.output, &config)?;
    let shown = target.shown();
    let lake = lake::existing(&config).await?;
    let engine = Engine::connect(&args.workers, &config, &lake).await?;
    let rights = settings::file_rights(&config);
    let size = write((&engine, &lake), target, &chosen, args.with_text, rights, now).await?;
    engine.warn_of_failures(console);
    console.info(&format!("wrote {shown} ({})", bytes(size)));
    console.debug(&format!("in {:.2} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Writes the page of a lake, by the time zone and the weeks that are chosen. Returns its size.
pub(crate) async fn write(
    (engine, lake): (&Engine, &Lake),
    target: OutputTarget,
    chosen: &BTreeMap<String, String>,
    with_text: bool,
    rights: FileRights,
    now: Instant,
) -> Result<u64> {
    // A file that cannot be written shows before the queries run.
    let unwritten = target.unwritten();
    let (mut sink, completion) = target.begin(rights)?;
    let compute = || async {
        let parameters = ReportParameters::of_lake(lake, now, chosen).await?;
        let session = engine.open(lake, &parameters.for_queries(), &views().collect::<Vec<_>>()).await?;
        Ok::<_, anyhow::Error>(page(&Figures::of_lake(&session, with_text).await?, &parameters, now))
    };
    let page = reread(compute, |error| expect_outdated(lake, error)).await?;
    sink.write_all(page.as_bytes()).with_context(|| unwritten.clone())?;
    drop(sink);
    completion.finish().await.context(unwritten)?;
    Ok(page.len() as u64)
}
