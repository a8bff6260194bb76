//! Where `--output` leads: a path, or the URL of a store.

use std::path::PathBuf;

use anyhow::Result;
use copilot_lake_writer::{Error, StoredFile, shown_location};
use url::Url;

use crate::config::{Config, settings};
use crate::output::output_target::OutputTarget;
use crate::problem::usage;

/// Where a command writes to that was given this path or URL. Nothing is requested.
pub(crate) fn output_target(output: PathBuf, config: &Config) -> Result<OutputTarget> {
    let Some(url) = output.to_str().filter(|text| text.contains("://")) else {
        return Ok(OutputTarget::File(output));
    };
    if let Some(path) =
        Url::parse(url).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok())
    {
        return Ok(OutputTarget::File(path));
    }
    let (lake, _) = settings::lake(config)?;
    let options = settings::stores(config, std::iter::once(url))?.for_url(&lake, url);
    match StoredFile::new(url, &options) {
        Ok(file) => Ok(OutputTarget::Store(Box::new(file), shown_location(url))),
        Err(Error::Unsupported { reason, .. }) => Err(usage(format!("cannot write `{}`: {reason}", shown_location(url)))
            .hint("as in `s3://bucket/name` or `az://container/name`; `[lake.options]` and the environment say how the store is reached")
            .into()),
        Err(error) => Err(error.into()),
    }
}
