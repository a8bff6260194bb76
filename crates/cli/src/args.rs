//! The command line: every command and flag, declared once.

mod replay;
#[cfg(feature = "query")]
mod report;
mod status;
#[cfg(feature = "query")]
mod workers;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use copilot_lake_tables::Service;

pub(crate) use self::replay::ReplayArgs;
#[cfg(feature = "query")]
pub(crate) use self::report::ReportArgs;
pub(crate) use self::status::{StatusArgs, StatusFormat};
#[cfg(feature = "workers")]
pub(crate) use self::workers::WorkerArgs;
#[cfg(feature = "query")]
pub(crate) use self::workers::WorkersArgs;
use crate::config::key;
#[cfg(feature = "query")]
use crate::duckdb_form::DuckdbForm;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Extract Microsoft Copilot interactions into an open lake of Parquet files.
#[derive(Parser)]
#[command(
    name = "copilot-lake",
    version,
    styles = STYLES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = exit_code_help(),
    after_long_help = configuration_help(),
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(clap::Args)]
pub(crate) struct GlobalArgs {
    /// Configuration file [default: ./copilot-lake.toml if it exists].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Where the lake is: a path or a URL.
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) lake: Option<String>,
    /// Set a configuration key; may be repeated.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE", help_heading = "Global options")]
    pub(crate) set: Vec<String>,
    /// Format of messages on stderr: lines of text, or one JSON object per event.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        help_heading = "Global options"
    )]
    pub(crate) log: LogFormat,
    /// Print errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Print more, such as the effective configuration; repeat for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Do not show progress.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_progress: bool,
}

/// The format of messages on stderr.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Try everything without an account: extract from an emulated service on this machine.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Test configuration, sign-in, permissions and lake, and say what is missing.
    Check(CheckArgs),
    /// Estimate what `extract` would fetch, in calls and hours; changes nothing.
    Plan(PlanArgs),
    /// Extract what is missing since the last run.
    Extract(ExtractArgs),
    /// Decode archived pages into the lake again, without calling a service.
    Replay(ReplayArgs),
    /// Query the lake: a shipped query or any SQL.
    #[cfg(feature = "query")]
    Query(QueryArgs),
    /// Write a page about use, feedback and people, in one file.
    #[cfg(feature = "query")]
    Report(ReportArgs),
    /// Compute parts of the queries of other machines.
    #[cfg(feature = "workers")]
    Worker(WorkerArgs),
    /// Say how fresh and complete the lake is; no request to a service, changes nothing.
    Status(StatusArgs),
    /// Merge small files, write checkpoints and delete what is no longer needed; rows stay as they are.
    Maintain(MaintainArgs),
    /// Describe the tables of the lake, or the columns of one.
    Tables(TablesArgs),
    /// Run the emulated service alone, for trying and testing.
    #[cfg(feature = "demo")]
    Emulator(EmulatorArgs),
    /// Print shell completions.
    Completions(CompletionsArgs),
}

/// Flags of `demo`.
#[cfg(feature = "demo")]
#[derive(clap::Args)]
#[command(after_help = "Example:\n  copilot-lake demo --dir /tmp/demo-lake\n\n\
    Starts the emulator on a free port of this machine, extracts everything from it, says what was written, prints the\n\
    newest feedback rates and writes the page `report.html` beside the tables. Needs no account and no network. A second\n\
    demo picks up where the first left off.")]
pub(crate) struct DemoArgs {
    /// Where to write the lake.
    #[arg(long, value_name = "DIR", default_value = "./demo-lake")]
    pub(crate) dir: PathBuf,
}

/// Flags of `extract`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    copilot-lake extract                                 what is new since the last run\n  \
    copilot-lake extract --since 7d                      re-read the last seven days\n  \
    copilot-lake extract --repair                        re-read what the lake has lost\n  \
    copilot-lake extract --deadline 06:00 --summary run.json\n\n\
    If a run stops or fails halfway, run it again: it resumes.")]
pub(crate) struct ExtractArgs {
    /// Only this service; may be repeated [default: every service that is configured].
    #[arg(long, value_parser = service_parser(), value_name = "SERVICE")]
    pub(crate) source: Vec<Service>,
    /// Only this table; may be repeated [default: dataverse.tables].
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Re-read rows that were created since this time: a UTC date, an instant or an age such as `7d`.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Re-read rows that were created before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Read everything again.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub(crate) full: bool,
    /// Re-read what the lake has lost: missing tables and files, and what is derived from them.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub(crate) repair: bool,
    /// Start no new slice after this time, and end within 20 s of it: a duration such as `2h`, or a UTC clock time such as
    /// `06:00`.
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// Write one JSON object about the run to this file, whatever the exit code.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
}

/// Flags of `check`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  copilot-lake check\n  copilot-lake check -v --read-only\n\n\
    Makes the cheapest calls possible: signs in, reads the metadata, one row of each table,\n\
    asks for one payload of each without reading it, writes and removes one file in the lake, and looks for\n\
    files of its tables that are missing, or have other rows than the log says.\n\
    `-v` lists the effective configuration and where each value comes from.")]
pub(crate) struct CheckArgs {
    /// Do not write to the lake.
    #[arg(long)]
    pub(crate) read_only: bool,
}

/// Flags of `plan`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  copilot-lake plan --table msdyn_copilotevent")]
pub(crate) struct PlanArgs {
    /// Only this service; may be repeated [default: every service that is configured].
    #[arg(long, value_parser = service_parser(), value_name = "SERVICE")]
    pub(crate) source: Vec<Service>,
    /// Only this table; may be repeated [default: dataverse.tables].
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Estimate a run that reads everything again.
    #[arg(long)]
    pub(crate) full: bool,
}

/// Reads the name of a service.
fn service_parser() -> impl TypedValueParser<Value = Service> {
    let values = Service::ALL.map(|service| PossibleValue::new(service.name()).help(service.doc()));
    PossibleValuesParser::new(values).try_map(|name| Service::parse(&name).ok_or("there is no such service"))
}

/// Flags of `query`.
#[cfg(feature = "query")]
#[derive(clap::Args)]
#[command(
    group(clap::ArgGroup::new("what").required(true).args(["name", "sql", "file", "list", "show", "duckdb_views"])),
    after_help = "Examples:\n  \
    copilot-lake query --list\n  \
    copilot-lake query scenario_usage\n  \
    copilot-lake query transcript --param id=ID --format record\n  \
    copilot-lake query --sql 'select count(*) from msdyn_copilotevent' --format json\n  \
    copilot-lake query feedback_rates --output rates.parquet\n  \
    copilot-lake query --duckdb-views > views.sql\n\n\
    `json` is one object per line. A parameter is `getvariable('name')` in the SQL."
)]
pub(crate) struct QueryArgs {
    /// A shipped query.
    pub(crate) name: Option<String>,
    /// Any SQL; `-` reads standard input.
    #[arg(long, value_name = "TEXT")]
    pub(crate) sql: Option<String>,
    /// SQL from a file; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Set a parameter of the query; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Format of the result [default: by the output file's extension, else table].
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Write the result to this file: a path, or a URL such as `s3://bucket/rates.csv`.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Put an apostrophe before texts that a spreadsheet would take for formulas; for CSV.
    #[arg(long)]
    pub(crate) csv_safe: bool,
    /// Print the query plan instead of running the query.
    #[arg(long)]
    pub(crate) explain: bool,
    /// List the shipped queries.
    #[arg(long)]
    pub(crate) list: bool,
    /// Print the text of a shipped query or view: the question, columns and parameters, then the SQL.
    #[arg(long, value_name = "NAME")]
    pub(crate) show: Option<String>,
    /// Print the lake's tables and the shipped views for DuckDB: over the current files, or over the log.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "files")]
    pub(crate) duckdb_views: Option<DuckdbForm>,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}

/// The format of a result.
#[cfg(feature = "query")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for reading.
    Table,
    /// A block per row, a line per column: whole texts, for reading.
    Record,
    /// Comma-separated, with a header.
    Csv,
    /// A JSON object per line.
    Json,
    /// A Parquet file.
    Parquet,
}

/// Flags of `maintain`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  copilot-lake maintain --dry-run\n\nIt can be stopped at any time.")]
pub(crate) struct MaintainArgs {
    /// Only this table; may be repeated [default: all tables].
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Flags of `tables`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  copilot-lake tables\n  copilot-lake tables msdyn_copilotevent")]
pub(crate) struct TablesArgs {
    /// Describe the columns of this table, view or query, its codes and joins.
    pub(crate) table: Option<String>,
    /// Print the data dictionary: every table, view, code and join, as Markdown.
    #[arg(long, conflicts_with = "table")]
    pub(crate) markdown: bool,
}

/// Flags of `emulator`.
#[cfg(feature = "demo")]
#[derive(clap::Args)]
#[command(after_help = "Example:\n  copilot-lake emulator --listen 127.0.0.1:8400\n\n\
    Prints a configuration for `extract` and runs until Ctrl-C.")]
pub(crate) struct EmulatorArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: std::net::SocketAddr,
    /// What to serve and how to misbehave, TOML [default: the scenario of the demo].
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
}

/// Flags of `completions`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  copilot-lake completions bash > ~/.local/share/bash-completion/completions/copilot-lake"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

fn examples() -> String {
    let demo = if cfg!(feature = "demo") { "copilot-lake demo\n  " } else { "" };
    format!(
        "Examples:\n  \
         {demo}copilot-lake extract --config contoso.toml --summary run.json\n  \
         copilot-lake query feedback_rates --format csv > rates.csv"
    )
}

fn exit_code_help() -> String {
    format!(
        "{}\n\n\
         Data goes to stdout, everything else to stderr. Exit codes: 0 complete, 1 failed, 2 bad usage or configuration,\n\
         3 partial, 4 another run holds the lake, 5 sign-in refused or a permission missing.",
        examples()
    )
}

fn configuration_help() -> String {
    format!(
        "{}\n\n\
         Data goes to stdout, everything else to stderr.\n\n\
         Exit codes:\n  \
         0  complete\n  \
         1  failed, nothing done\n  \
         2  bad usage or configuration\n  \
         3  partial: finished work is kept, and a rerun does the rest\n  \
         4  another run holds the lake\n  \
         5  sign-in refused, or a permission is missing for everything requested\n\n\
         Configuration keys, as a TOML file has them; `--set lake.url=X` and COPILOT_LAKE_LAKE__URL=X do the same. A flag\n\
         beats the environment, which beats the file. [dataverse.auth] overrides [auth] for that service.\n\
         Each section [[dataverse.identity]] or [[graph.identity]], with the keys of [auth], is one more identity that shares\n\
         the requests to that service; `--set dataverse.identity.1.client_id=X` is of the first.\n{}",
        examples(),
        key::documentation()
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example_and_every_flag_a_line() {
        for command in Args::command().get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
            }
        }
    }

    #[test]
    fn the_long_help_lists_the_keys() {
        let help = Args::command().render_long_help().to_string();
        for name in ["lake.url", "auth.client_secret_file", "dataverse.page_size", "graph.users"] {
            assert!(help.contains(name), "{name}");
        }
        assert!(!help.contains("lake.auth."), "what is not built is not offered");
    }
}
