//! Flags of `status`.

use clap::ValueEnum;

/// Flags of `status`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  copilot-lake status\n  copilot-lake status --format json | jq .failed_slices\n\n\
    Reads the lake only, without sign-in and lock, during a run too. Ends with 0 whenever the lake can be read.")]
pub(crate) struct StatusArgs {
    /// Format of the status.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: StatusFormat,
}

/// The format of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// Aligned columns, and what to do.
    Table,
    /// One JSON object, for monitors.
    Json,
}
