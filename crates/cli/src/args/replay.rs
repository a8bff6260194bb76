//! Flags of `replay`.

use copilot_lake_pipeline::Shard;

/// Flags of `replay`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  copilot-lake replay ./lake/_raw --lake ./lake-again\n  \
    copilot-lake replay ./lake/_raw --lake ./lake-again --shard 1/4\n\n\
    Reads what was archived with `lake.archive_raw = true`. The same archive always gives the same rows.")]
pub(crate) struct ReplayArgs {
    /// A lake, its folder `_raw`, or a folder below that; a path or a URL.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) path: Vec<String>,
    /// Replay one of N shards, as in `1/4`: several processes share the work and fill a new lake.
    #[arg(long, value_name = "I/N", value_parser = shard, conflicts_with = "finish")]
    pub(crate) shard: Option<Shard>,
    /// Check that all shards are in the lake, remove what killed ones left, and make the views.
    #[arg(long)]
    pub(crate) finish: bool,
}

/// Reads a shard.
fn shard(text: &str) -> Result<Shard, &'static str> {
    Shard::parse(text).ok_or("it is a number and how many there are, as in `1/4`")
}
