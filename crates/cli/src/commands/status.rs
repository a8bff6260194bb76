//! `status`: how fresh and complete the lake is.

use std::io::Write;

use anyhow::Result;
use copilot_lake_pipeline::StatusOptions;
use copilot_lake_writer::shown_location;

use crate::args::{GlobalArgs, StatusArgs, StatusFormat};
use crate::commands::lake;
use crate::commands::views::view_maker;
use crate::config::{Config, moment, settings};
use crate::output::console::Console;
use crate::output::status;

/// Runs `status`.
pub(crate) async fn run_status(args: &StatusArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    let started = std::time::Instant::now();
    let config = Config::from_flags(global)?;
    let lake = lake::existing(&config).await?;
    let views = view_maker(&config).map(|maker| maker.definition());
    let options = StatusOptions { payloads: settings::payloads(&config), views };
    let found = copilot_lake_pipeline::status(&lake, options, moment::now()).await?;
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
