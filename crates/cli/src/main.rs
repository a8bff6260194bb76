//! `copilot-lake`: flags, configuration, progress, exit codes, wording.

mod args;
mod cause;
mod command_line;
mod commands;
mod config;
#[cfg(feature = "query")]
mod duckdb_form;
mod environment;
mod exit;
mod fault;
mod nearest;
mod output;
mod problem;
#[cfg(feature = "query")]
mod report;
mod signals;

use anyhow::Result;
use clap::Parser;

use crate::args::{Args, Command};
use crate::output::console::Console;
use crate::problem::ExitCode;

/// Returns unused memory to the system; `.cargo/config.toml` says how fast and why.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let console = Console::new(&args.global);
    fault::report_to(&console);
    console.catch_log();
    let code = fault::catch(|| match run(args, &console) {
        Ok(code) => code,
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::Complete,
        Err(error) => {
            let problem = exit::problem(&error);
            console.problem(&problem);
            problem.code
        }
    });
    code.into()
}

fn run(args: Args, console: &Console) -> Result<ExitCode> {
    let Args { global, command } = args;
    if let Command::Completions(args) = command {
        return commands::completions::run_completions(&args).map(|()| ExitCode::Complete);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            #[cfg(feature = "demo")]
            Command::Demo(args) => commands::demo::run_demo(args, &global, console).await,
            Command::Check(args) => commands::check::run_check(&args, global, console).await,
            Command::Plan(args) => commands::plan::run_plan(&args, global, console).await.map(|()| ExitCode::Complete),
            Command::Replay(args) => Ok(commands::replay::run_replay(args, global, console).await),
            Command::Extract(args) => Ok(commands::extract::run_extract(args, global, console).await),
            Command::Status(args) => {
                commands::status::run_status(&args, global, console).await.map(|()| ExitCode::Complete)
            }
            Command::Maintain(args) => commands::maintain::run_maintain(&args, global, console).await,
            #[cfg(feature = "query")]
            Command::Query(args) => {
                commands::query::run_query(args, global, console).await.map(|()| ExitCode::Complete)
            }
            #[cfg(feature = "query")]
            Command::Report(args) => {
                commands::report::run_report(args, global, console).await.map(|()| ExitCode::Complete)
            }
            #[cfg(feature = "workers")]
            Command::Worker(args) => {
                commands::worker::run_worker(args, global, console).await.map(|()| ExitCode::Complete)
            }
            #[cfg(feature = "demo")]
            Command::Emulator(args) => {
                commands::emulator::run_emulator(args, console).await.map(|()| ExitCode::Complete)
            }
            Command::Tables(args) => commands::tables::run_tables(&args).await.map(|()| ExitCode::Complete),
            Command::Completions(_) => Ok(ExitCode::Complete),
        }
    });
    // Abandoned work may still occupy a thread; the process does not wait for it.
    runtime.shutdown_background();
    result
}

/// Prints help and version on stdout, and reports a wrong command line like every other error.
fn refuse(error: &clap::Error) -> std::process::ExitCode {
    match command_line::problem(error) {
        Some(problem) => {
            Console::plain().problem(&problem);
            problem.code.into()
        }
        None => {
            // A closed pipe is no error: the reader has seen enough.
            let _ = error.print();
            if error.use_stderr() { ExitCode::Usage.into() } else { ExitCode::Complete.into() }
        }
    }
}
