//! `status`: how fresh and complete the lake is.

use std::io::Write;

use anyhow::Result;
use copilot_lake_pipeline::{Error, LakeStatus};
use copilot_lake_writer::shown_location;

use crate::args::{GlobalArgs, StatusArgs, StatusFormat};
use crate::commands::lake;
use crate::config::{Config, moment, settings};
use crate::output::console::Console;
use crate::output::status;

/// Attempts to read the lake while a run replaces its files.
const ATTEMPTS: usize = 3;

/// Runs `status`.
pub(crate) async fn run_status(args: &StatusArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    let started = std::time::Instant::now();
    let config = Config::from_flags(global)?;
    let found = read(&config).await?;
    let text = match args.format {
        StatusFormat::Table => status::text(&found),
        StatusFormat::Json => {
            let (url, _) = settings::lake(&config)?;
            format!("{}\n", status::json(&found, &shown_location(&url)))
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    console.debug(&format!("read in {:.2} s", started.elapsed().as_secs_f64()));
    Ok(())
}

async fn read(config: &Config) -> Result<LakeStatus> {
    for _ in 1..ATTEMPTS {
        let lake = lake::existing(config).await?;
        match copilot_lake_pipeline::status(&lake, settings::payloads(config), moment::now()).await {
            // A file that the log has just named may be gone: a run that is going on has replaced it.
            Err(Error::Lake(error)) if error.stops_table().is_some() => {}
            status => return Ok(status?),
        }
    }
    let lake = lake::existing(config).await?;
    Ok(copilot_lake_pipeline::status(&lake, settings::payloads(config), moment::now()).await?)
}
