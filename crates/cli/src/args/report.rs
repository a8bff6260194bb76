//! Flags of `report`.

use std::path::PathBuf;

use super::workers::WorkersArgs;

/// Flags of `report`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  copilot-lake report\n  copilot-lake report --output november.html --with-text\n  \
    copilot-lake report --param tz=Europe/Berlin --param week_start=monday\n\n\
    One HTML file that needs no network: use, feedback, people, knowledge sources and the health of the extraction, of\n\
    the last 26 weeks. Every chart has its numbers as a table, and names the query that they are from."
)]
pub(crate) struct ReportArgs {
    /// Write the page to this file: a path, or a URL such as `s3://bucket/report.html`.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) output: PathBuf,
    /// Set a parameter of its queries: `tz`, or `week_start`; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Quote the latest thumbs-down: what people wrote, had asked and were answered.
    #[arg(long)]
    pub(crate) with_text: bool,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}
