//! `completions`: what a shell needs to complete the command line.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs};

/// Runs `completions`.
pub(crate) fn run_completions(args: &CompletionsArgs) -> Result<()> {
    // The generator panics where it cannot write, so it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "copilot-lake", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(())
}
