//! Opening an existing lake.

use std::path::Path;

use anyhow::Result;
use copilot_lake_tables::EXTRACTION_RUN;
use copilot_lake_writer::{Lake, LakeOptions, shown_location};

use crate::config::{Config, settings};
use crate::problem::{Problem, usage};

/// Opens the configured lake for reading; an error if there is none.
pub(crate) async fn existing(config: &Config) -> Result<Lake> {
    let (url, options) = settings::lake(config)?;
    open(&url, options).await
}

/// Opens the configured lake for a command that writes; an error if there is none.
pub(crate) async fn existing_to_write(config: &Config) -> Result<Lake> {
    let (url, options) = settings::lake(config)?;
    let lake = open(&url, options.clone()).await?;
    if lake.store_requests().is_none() {
        return Ok(lake);
    }
    let options = LakeOptions { store: options.store.answered(), ..options };
    Ok(Lake::open(&url, options).await?)
}

/// Opens a lake for reading; an error if there is none. Creates nothing.
pub(crate) async fn open(url: &str, options: LakeOptions) -> Result<Lake> {
    if !url.contains("://") && !Path::new(url).exists() {
        return Err(none(url).into());
    }
    let lake = Lake::open(url, options).await?;
    // Every run writes a row there, whatever it extracts.
    if lake.files(&EXTRACTION_RUN).await?.is_empty() {
        return Err(none(url).into());
    }
    Ok(lake)
}

fn none(url: &str) -> Problem {
    let makers =
        if cfg!(feature = "demo") { "`copilot-lake extract` or `copilot-lake demo`" } else { "`copilot-lake extract`" };
    usage(format!("no lake at `{}`", shown_location(url)))
        .hint(format!("{makers} creates one; `--lake` names another place"))
}
