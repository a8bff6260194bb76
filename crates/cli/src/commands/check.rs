//! `check`: configuration, sign-in, permissions and lake, before anything is extracted.

use anyhow::Result;
use copilot_lake_extractor::Error as ServiceError;
use copilot_lake_pipeline::{Finding, RunOptions};
use copilot_lake_tables::Table;
use serde_json::{Map, Value, json};

use crate::args::{CheckArgs, GlobalArgs};
use crate::cause::Cause;
use crate::commands::extract;
use crate::config::{Config, exposed_secrets};
use crate::exit::{of_pipeline, of_service};
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
    let nothing = !findings.iter().filter(is_extracted).any(readable);
    let ends_with = |code: ExitCode| findings.iter().filter(is_extracted).any(|found| code_of(found) == Some(code));
    let code = match () {
        () if findings.iter().any(|finding| matches!(finding, Finding::LakeNotWritable { .. })) => ExitCode::Failed,
        () if nothing && ends_with(ExitCode::Refused) => ExitCode::Refused,
        () if nothing && ends_with(ExitCode::Usage) => ExitCode::Usage,
        () if nothing && ends_with(ExitCode::Failed) => ExitCode::Failed,
        () => ExitCode::Partial,
    };
    let problem = Problem::new(code, format!("{} found", counted(missing, "problem")));
    Err(problem.hint("fix what is reported above, then run `copilot-lake check` again").into())
}

/// The exit code of a check that finds nothing but this; `None` if something can be read nevertheless.
fn code_of(finding: &Finding) -> Option<ExitCode> {
    let code = |cause: Cause| cause.code_and_hint().0;
    match finding {
        Finding::ServiceFailed { error, .. } => Some(code(of_pipeline(error))),
        Finding::NotReadable { error, .. } | Finding::UsersNotReadable { error, .. } => Some(code(of_service(error))),
        Finding::RoleMissing { .. } | Finding::HistoryNotReadable { role: Some(_), .. } => Some(ExitCode::Refused),
        _ => None,
    }
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
        Finding::ServiceFailed { .. }
        | Finding::SignedIn { .. }
        | Finding::Identity { .. }
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

/// What to do about a cause, behind the reason.
fn hint_of(cause: Cause) -> String {
    cause.hint().map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// A finding in words, with what to do about it.
fn words(finding: &Finding) -> (Level, String) {
    match finding {
        Finding::SignedIn { user_id, organization_id } => {
            (Level::Info, format!("sign-in: ok, as user {user_id} of organization {organization_id}"))
        }
        Finding::Identity { service, name, refused: None } => {
            (Level::Info, format!("{}: identity `{name}`: ok, shares the requests", service.name()))
        }
        Finding::Identity { service, name, refused: Some(reason) } => {
            (Level::Error, format!("{}: identity `{name}` is not used: {reason}", service.name()))
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
        Finding::ServiceFailed { service, error } => {
            (Level::Error, format!("{}: {error}{}", service.name(), hint_of(of_pipeline(error))))
        }
        Finding::NotReadable { table, error } if !matches!(error, ServiceError::PermissionMissing { .. }) => {
            (Level::Error, format!("{table}: cannot be read: {error}{}", hint_of(of_service(error))))
        }
        Finding::NotReadable { table, error } => (
            Level::Error,
            format!(
                "{table}: cannot be read: {error}; grant {} at depth Global (Organization) to the application \
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
        Finding::FilesNotReadable { table, column, error: Some(error) }
            if !matches!(error, ServiceError::ColumnSecured { .. }) =>
        {
            let hint = hint_of(of_service(error));
            (Level::Error, format!("{table}: payloads of {column} cannot be read: {error}{hint}"))
        }
        Finding::FilesNotReadable { table, column, error } => {
            let hidden = || "the column is secured and no row shows a File in it".to_owned();
            let reason = error.as_ref().map_or_else(hidden, ServiceError::to_string);
            (
                Level::Error,
                format!(
                    "{table}: payloads of {column} cannot be read: {reason}; add the application user to a column \
                     security profile that may read {column}"
                ),
            )
        }
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
        Finding::UsersNotReadable { table, error } if !error.is_refusal() => {
            (Level::Error, format!("{table}: cannot be read: {error}{}", hint_of(of_service(error))))
        }
        Finding::UsersNotReadable { table, error } => (
            Level::Error,
            format!("{table}: cannot be read: {error}; see `graph.users`, `graph.exclude` and the permissions"),
        ),
        Finding::HistoryReadable { table, tried: true } => (Level::Info, format!("{table}: ok, a history was read")),
        Finding::HistoryReadable { table, tried: false } => {
            (Level::Warning, format!("{table}: nobody on the first page is in scope; no history was tried"))
        }
        Finding::HistoryNotReadable { table, error, role } => {
            let advice = match role {
                Some(role) => format!("; grant the application permission {role}, with admin consent"),
                None if error.is_refusal() => String::new(),
                None => hint_of(of_service(error)),
            };
            (Level::Error, format!("{table}: no history that was tried can be read: {error}{advice}"))
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
