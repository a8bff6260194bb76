//! `copilot-lake`: flags, configuration, progress, exit codes, wording.

mod config;
mod environment;
mod exit;
mod nearest;

fn main() {}
