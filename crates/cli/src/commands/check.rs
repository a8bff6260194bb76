//! `check`: configuration, sign-in, permissions and lake, before anything is extracted.

use anyhow::Result;
use copilot_lake_pipeline::{Finding, RunOptions};
use copilot_lake_tables::Table;
use serde_json::{Map, Value, json};

use crate::args::{CheckArgs, GlobalArgs};
use crate::commands::extract;
use crate::config::{Config, exposed_secrets};
use crate::output::console::{Console, Level};
use crate::output::remedy::advice;
use crate::output::wording::{counted, listed};
use crate::problem::{ExitCode, Problem};

/// Runs `check`.
pub(crate) async fn run_check(args: &CheckArgs, global: GlobalArgs, console: &Console) -> Result<ExitCode> {
    let config = Config::from_flags(global)?;
    for exposed in exposed_secrets::exposed_secrets(&config) {
        console.warning(&exposed);
    }
    let settings = extract::run_settings("check", (&[], &[]), RunOptions::default(), &config, console)?;
    let mut report = |finding: &Finding| report_finding(console, finding);
    let findings = copilot_lake_pipeline::check(settings, args.read_only, &mut report).await?;
    console.info("rows that an administrator moved to long-term retention cannot be read through the Web API");
    let missing = findings.iter().filter(|finding| finding.is_missing()).count() as u64;
    if missing == 0 {
        console.info("ok");
        return Ok(ExitCode::Complete);
    }
    // Readable names of people do not make up for tables that cannot be read.
    let is_extracted =
        |finding: &&Finding| !table(finding).and_then(copilot_lake_tables::table).is_some_and(Table::is_dimension);
    let readable = |finding: &Finding| {
        matches!(
            finding,
            Finding::Readable { .. } | Finding::SomeRows { .. } | Finding::HistoryReadable { tried: true, .. }
        )
    };
    let refused = |finding: &Finding| {
        matches!(
            finding,
            Finding::NotReadable { .. }
                | Finding::RoleMissing { .. }
                | Finding::UsersNotReadable { .. }
                | Finding::HistoryNotReadable { role: Some(_), .. }
        )
    };
    let code = match () {
        () if findings.iter().any(|finding| matches!(finding, Finding::LakeNotWritable { .. })) => ExitCode::Failed,
        () if findings.iter().filter(is_extracted).any(refused)
            && !findings.iter().filter(is_extracted).any(readable) =>
        {
            ExitCode::Refused
        }
        () => ExitCode::Partial,
    };
    let problem = Problem::new(code, format!("{} found", counted(missing, "problem")));
    Err(problem.hint("fix what is reported above, then run `copilot-lake check` again").into())
}

/// Prints a finding.
fn report_finding(console: &Console, finding: &Finding) {
    let (level, text) = words(finding);
    let mut fields = Map::new();
    fields.insert("ok".to_owned(), Value::from(!finding.is_missing()));
    if let Some(table) = table(finding) {
        fields.insert("table".to_owned(), json!(table));
    }
    console.event(level, "finding", &text, fields);
}

const fn table(finding: &Finding) -> Option<&'static str> {
    match finding {
        Finding::NoTable { table }
        | Finding::NoColumns { table, .. }
        | Finding::Readable { table, .. }
        | Finding::SomeRows { table, .. }
        | Finding::NotReadable { table, .. }
        | Finding::FilesReadable { table, .. }
        | Finding::FilesNotReadable { table, .. }
        | Finding::TableUnusable { table, .. }
        | Finding::NotTracked { table }
        | Finding::HistoryReadable { table, .. }
        | Finding::HistoryNotReadable { table, .. }
        | Finding::FilterRefused { table }
        | Finding::UsersReadable { table, .. }
        | Finding::UsersNotReadable { table, .. } => Some(table),
        Finding::SignedIn { .. }
        | Finding::SignedInToGraph { .. }
        | Finding::RoleMissing { .. }
        | Finding::MetadataAssumed
        | Finding::LakeWritable
        | Finding::LakeNotTried
        | Finding::LakeNotWritable { .. } => None,
    }
}

fn privilege(name: &str) -> String {
    copilot_lake_tables::table(name).map(Table::read_privilege).unwrap_or_default()
}

/// A finding in words, with what to do about it.
fn words(finding: &Finding) -> (Level, String) {
    match finding {
        Finding::SignedIn { user_id, organization_id } => {
            (Level::Info, format!("sign-in: ok, as user {user_id} of organization {organization_id}"))
        }
        Finding::MetadataAssumed => (
            Level::Warning,
            "the environment's metadata cannot be read: every known table and column is requested".to_owned(),
        ),
        Finding::NoTable { table } => {
            (Level::Warning, format!("{table}: the environment has no such table; it is skipped"))
        }
        Finding::NoColumns { table, columns } => {
            (Level::Warning, format!("{table}: the environment has no {}; null in the lake", listed(columns)))
        }
        Finding::Readable { table, depth: Some(_) } => (Level::Info, format!("{table}: ok, every row")),
        Finding::Readable { table, depth: None } => (
            Level::Info,
            format!(
                "{table}: ok, but it is unknown whether every row can be read; grant {} at depth Global (Organization)",
                privilege(table)
            ),
        ),
        Finding::SomeRows { table, depth } => (
            Level::Error,
            format!(
                "{table}: only some rows can be read (depth {depth:?}): the service leaves the others out without an error; \
                 grant {} at depth Global (Organization) to the application user's security role",
                privilege(table)
            ),
        ),
        Finding::NotReadable { table, reason } => (
            Level::Error,
            format!(
                "{table}: cannot be read: {reason}; grant {} at depth Global (Organization) to the application \
                 user's security role",
                privilege(table)
            ),
        ),
        Finding::FilesReadable { table, column, tried: true } => {
            (Level::Info, format!("{table}: ok, payloads of {column}"))
        }
        Finding::FilesReadable { table, column, tried: false } => {
            (Level::Info, format!("{table}: no payload of {column} to try yet"))
        }
        Finding::FilesNotReadable { table, column, reason } => (
            Level::Error,
            format!(
                "{table}: payloads of {column} cannot be read: {reason}; add the application user to a column security \
                 profile that may read {column}"
            ),
        ),
        Finding::NotTracked { table } => (
            Level::Warning,
            format!("{table}: change tracking is off, so deletions are not found; an administrator can turn it on"),
        ),
        Finding::SignedInToGraph { roles: Some(roles) } => (
            Level::Info,
            format!("sign-in to Graph: ok, with {}", listed(&roles.iter().map(String::as_str).collect::<Vec<_>>())),
        ),
        Finding::SignedInToGraph { roles: None } => {
            (Level::Info, "sign-in to Graph: ok; the token does not show its permissions".to_owned())
        }
        Finding::RoleMissing { role, what } => (
            Level::Error,
            format!("graph: {what} cannot be read: grant the application permission {role}, with admin consent"),
        ),
        Finding::UsersReadable { table, users } => {
            (Level::Info, format!("{table}: ok, {} on the first page", counted(*users, "user")))
        }
        Finding::UsersNotReadable { table, reason } => (
            Level::Error,
            format!("{table}: cannot be read: {reason}; see `graph.users`, `graph.exclude` and the permissions"),
        ),
        Finding::HistoryReadable { table, tried: true } => (Level::Info, format!("{table}: ok, a history was read")),
        Finding::HistoryReadable { table, tried: false } => {
            (Level::Warning, format!("{table}: nobody on the first page is in scope; no history was tried"))
        }
        Finding::HistoryNotReadable { table, reason, role } => {
            let grant = role.map(|role| format!("; grant the application permission {role}, with admin consent"));
            let grant = grant.unwrap_or_default();
            (Level::Error, format!("{table}: no history that was tried can be read: {reason}{grant}"))
        }
        Finding::FilterRefused { table } => (
            Level::Warning,
            format!(
                "{table}: the tenant refuses the filter by time; whole histories are read, and what is in the window is \
                 kept"
            ),
        ),
        Finding::TableUnusable { reason, remedy, .. } => {
            let hint = remedy.map(|remedy| format!("; {}", advice(remedy))).unwrap_or_default();
            (Level::Error, format!("{reason}{hint}"))
        }
        Finding::LakeWritable => (Level::Info, "lake: ok, a file was written and removed".to_owned()),
        Finding::LakeNotTried => (Level::Info, "lake: not tested".to_owned()),
        Finding::LakeNotWritable { reason, remedy } => {
            let hint = remedy.map(|remedy| format!("; {}", advice(remedy))).unwrap_or_default();
            (Level::Error, format!("lake: {reason}{hint}"))
        }
    }
}
