//! Errors of every crate, mapped to an exit code, a message and a hint. The only place that does so.

use copilot_lake_extractor::role;
use copilot_lake_pipeline::{EndedEarly, Report, RunOutcome, StoppedTable, TableReport};
use copilot_lake_tables::{Service, Table, table};
use copilot_lake_writer::{Remedy, SystemFailure, without_number};

use crate::cause::Cause;
#[cfg(feature = "query")]
use crate::commands::tables::names;
#[cfg(feature = "query")]
use crate::nearest::{hint, near};
use crate::output::wording::counted;
use crate::problem::{ExitCode, Problem};

/// Whether the reader of stdout closed the pipe: not an error, it has seen enough.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

/// The problem to report for an error: its causes on one line, a hint and the exit code.
pub(crate) fn problem(error: &anyhow::Error) -> Problem {
    let found = error.chain().find_map(code_and_hint);
    let of_system = || error.chain().find_map(SystemFailure::of).map(|of| advised(Cause::Lake(Remedy::OfSystem(of))));
    let (code, hint) = found.or_else(of_system).unwrap_or((ExitCode::Failed, None));
    Problem { code, message: one_line(error), hint }
}

fn advised(cause: Cause) -> (ExitCode, Option<String>) {
    (cause.code_and_hint().0, cause.hint())
}

/// The code and the hint of an error of our crates.
fn code_and_hint(error: &(dyn std::error::Error + 'static)) -> Option<(ExitCode, Option<String>)> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some((problem.code, problem.hint.clone()));
    }
    #[cfg(feature = "query")]
    match error.downcast_ref() {
        Some(copilot_lake_query::Error::ColumnNotFound { name, known, is_quoted }) => {
            return Some((ExitCode::Usage, Some(column_hint(name, known, *is_quoted))));
        }
        Some(copilot_lake_query::Error::FunctionNotFound { name, known }) => {
            return Some((ExitCode::Usage, Some(function_hint(name, known))));
        }
        Some(copilot_lake_query::Error::TableNotFound { name }) => {
            return Some((ExitCode::Usage, Some(table_hint(name))));
        }
        _ => {}
    }
    cause(error).map(advised)
}

/// The cause of an error of our crates.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<Cause> {
    #[cfg(feature = "query")]
    if let Some(error) = error.downcast_ref::<copilot_lake_query::Error>() {
        return Some(of_query(error));
    }
    #[cfg(feature = "demo")]
    if error.is::<copilot_lake_emulator::Error>() {
        return Some(Cause::Emulator);
    }
    if let Some(error) = error.downcast_ref::<copilot_lake_pipeline::Error>() {
        Some(of_pipeline(error))
    } else if let Some(error) = error.downcast_ref::<copilot_lake_extractor::Error>() {
        Some(of_service(error))
    } else {
        error.downcast_ref::<copilot_lake_writer::Error>().map(of_lake)
    }
}

/// The cause of an error of a run.
pub(crate) fn of_pipeline(error: &copilot_lake_pipeline::Error) -> Cause {
    use copilot_lake_pipeline::Error;
    match error {
        Error::Lake(error) => of_lake(error),
        Error::Service(error) => of_service(error),
        Error::EmptyWindow { .. } => Cause::WindowEmpty,
        Error::WindowAhead { .. } => Cause::WindowAhead,
        Error::NothingArchived { .. } => Cause::NothingArchived,
        Error::Archive { .. } => Cause::ArchiveDamaged,
        Error::Shards { .. } => Cause::ShardRefused,
        Error::ShardsMissing { .. } => Cause::ShardsMissing,
        Error::RoleMissing { .. } => Cause::RoleMissing,
        Error::Decode(_) => Cause::Internal,
        Error::Stopped => Cause::Stopped,
    }
}

/// The codes of an application that is disabled or not consented to, and of conditional access.
const BLOCKED: [&str; 6] =
    ["AADSTS7000112", "AADSTS53003", "AADSTS530031", "AADSTS530034", "AADSTS65001", "AADSTS65002"];

/// The cause of an error of a service.
pub(crate) fn of_service(error: &copilot_lake_extractor::Error) -> Cause {
    use copilot_lake_extractor::{Error, ProxyFailure};
    match error {
        Error::Usage { .. } => Cause::Setting,
        Error::Insecure { .. } => Cause::InsecureUrl,
        Error::SignInRefused { code, .. } if BLOCKED.contains(&code.as_str()) => Cause::SignInBlocked,
        Error::SignInRefused { .. } => Cause::SignInRefused,
        Error::PermissionMissing { privilege: Some(_), table: Some(name), .. } if is_read_through_graph(name) => {
            Cause::RoleMissing
        }
        Error::PermissionMissing { privilege: Some(_), .. } => Cause::PrivilegeMissing,
        Error::PermissionMissing { .. } => Cause::ApplicationUserMissing,
        Error::ColumnSecured { .. } => Cause::ColumnSecured,
        Error::TableMissing { .. } => Cause::TableMissing,
        Error::ForeignLink { .. } => Cause::ForeignLink,
        Error::Proxy { failure, .. } => match failure {
            ProxyFailure::CredentialsMissing => Cause::ProxyCredentials,
            ProxyFailure::Refused => Cause::ProxyRefused,
            ProxyFailure::Unreachable(_) => Cause::ProxyUnreachable,
        },
        Error::Unreachable { cause, .. } if cause.contains("UnknownIssuer") => Cause::UnknownAuthority,
        Error::Unreachable { cause, .. } if cause.contains("certificate") => Cause::InvalidCertificate,
        Error::Unreachable { cause, .. } if cause.contains("oo many open files") => {
            Cause::Lake(Remedy::OfSystem(SystemFailure::TooManyOpenFiles))
        }
        Error::Unreachable { .. } => Cause::Unreachable,
        Error::RetriesExhausted { status: 429 | 503, call, .. } if call.is_of_history() => Cause::HistoriesThrottled,
        Error::RetriesExhausted { status: 429 | 503, .. } => Cause::Throttled,
        Error::RetriesExhausted { .. } => Cause::ServiceFailing,
        Error::Paused { .. } => Cause::Paused,
        Error::UserRefused { .. } | Error::InvalidUserId { .. } | Error::GroupMissing { .. } => Cause::UserRefused,
        Error::Refused { .. }
        | Error::FilterRefused { .. }
        | Error::FileMissing { .. }
        | Error::FileTooLarge { .. } => Cause::RequestRefused,
        Error::BadPage { .. } => Cause::BadResponse,
        Error::PageTokenExpired { .. } | Error::ColumnMissing { .. } | Error::DeltaTokenExpired { .. } => {
            Cause::Transient
        }
        Error::Stopped => Cause::Stopped,
    }
}

/// Whether a table is read through Graph.
fn is_read_through_graph(name: &str) -> bool {
    table(name).and_then(Table::service) == Some(Service::Graph)
}

fn of_lake(error: &copilot_lake_writer::Error) -> Cause {
    use copilot_lake_writer::Error;
    if let Some(remedy) = error.remedy() {
        return Cause::Lake(remedy);
    }
    match error {
        Error::Held { .. } => Cause::LakeHeld,
        Error::LeaseLost { .. } => Cause::LeaseLost,
        Error::NoConditionalPut => Cause::NoConditionalPut,
        Error::OtherInstance { .. } => Cause::OtherInstance,
        Error::NewerLake { .. } => Cause::NewerLake,
        Error::Unsupported { .. } => Cause::UnsupportedLake,
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Cause::PathMissing,
        Error::Rows { .. } => Cause::Internal,
        _ => Cause::Transient,
    }
}

#[cfg(feature = "query")]
fn of_query(error: &copilot_lake_query::Error) -> Cause {
    use copilot_lake_query::Error;
    match error {
        Error::ColumnNotFound { .. }
        | Error::FunctionNotFound { .. }
        | Error::TableNotFound { .. }
        | Error::Question(_) => Cause::QueryText,
        Error::Lake(error) => of_lake(error),
        Error::Table { remedy: Some(remedy), .. } => Cause::Lake(*remedy),
        Error::FileMissing { .. } => Cause::Lake(Remedy::ReplaceFile),
        Error::OutOfMemory(_) => Cause::QueryMemory,
        #[cfg(feature = "workers")]
        Error::WorkerFailed { .. } => Cause::WorkerFailed,
        #[cfg(feature = "workers")]
        Error::WorkerRefused { .. } => Cause::WorkerRefused,
        #[cfg(feature = "workers")]
        Error::WorkerUnfit { .. } => Cause::WorkerUnfit,
        #[cfg(feature = "workers")]
        Error::WorkerSetting(_) => Cause::Setting,
        Error::Table { remedy: None, .. } | Error::Run(_) => Cause::QueryFailed,
    }
}

#[cfg(feature = "query")]
fn table_hint(name: &str) -> String {
    // Whoever leaves out the publisher's prefix means the table all the same.
    let prefixed = format!("msdyn_{name}");
    let meant = if near(name, names()).is_some() { name } else { prefixed.as_str() };
    hint("table", meant, names(), || "`copilot-lake tables` lists them all".to_owned())
}

#[cfg(feature = "query")]
fn column_hint(name: &str, known: &[String], is_quoted: bool) -> String {
    // DataFusion lists every column there is; the one that was meant is enough.
    hint("column", name, known.iter().map(String::as_str), || {
        if is_quoted {
            format!("texts stand in single quotes: '{name}'; double quotes are for names")
        } else {
            "`copilot-lake tables TABLE` lists the columns of a table, in lower case".to_owned()
        }
    })
}

#[cfg(feature = "query")]
fn function_hint(name: &str, known: &[String]) -> String {
    hint("function", name, known.iter().map(String::as_str), || {
        "`copilot-lake query --sql 'SHOW FUNCTIONS'` lists them all".to_owned()
    })
}

/// The problem with a run, by its report; `None` if the run is complete.
pub(crate) fn run_problem(report: &Report) -> Option<Problem> {
    let has_slices_of_users = |report: &&TableReport| table(report.table).is_some_and(Table::has_slices_of_users);
    let users = report.tables.iter().find(has_slices_of_users);
    match report.outcome {
        RunOutcome::Complete => None,
        RunOutcome::Failed if report.permission_missing => {
            let message = format!("a permission is missing for everything requested{}", first_reason(report));
            let hint = if users.is_some_and(|users| users.slices_failed > 0) {
                let role = role::HISTORIES;
                format!(
                    "grant the application {role}, with admin consent; where its token has it, the service refuses this \
                     tenant"
                )
            } else {
                "give the application user a security role with that privilege".to_owned()
            };
            Some(Problem::new(ExitCode::Refused, message).hint(hint))
        }
        RunOutcome::Failed => {
            let message = format!("no slice was done{}", first_reason(report));
            Some(Problem { code: ExitCode::Failed, message, hint: cause_of_slices(report).hint() })
        }
        RunOutcome::Partial => Some(partial_run(report)),
    }
}

/// The problem with a run that did some of its work.
fn partial_run(report: &Report) -> Problem {
    let (failed, payloads) = (report.total(|table| table.slices_failed), report.total(|table| table.payloads_failed));
    let mut parts = Vec::new();
    let mut cause = cause_of_slices(report);
    for EndedEarly { service, error } in &report.ended_early {
        parts.push(format!("{} was given up: {error}", service.name()));
        cause = of_pipeline(error);
    }
    for StoppedTable { error, .. } in &report.stopped_tables {
        parts.push(error.to_string());
    }
    if let Some(remedy) = report.stopped_tables.iter().find_map(|of| of.error.remedy()) {
        cause = Cause::Lake(remedy);
    }
    let mut hint = cause.hint();
    // Those of stopped tables are named above.
    let failed = failed.saturating_sub(report.stopped_tables.len() as u64);
    let counts = [(failed, "slice"), (payloads, "payload")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| counted(count, what)).collect();
    if !counts.is_empty() {
        parts.push(format!("{} failed{}", counts.join(" and "), first_reason(report)));
    }
    if let Some(first) = report.uncommitted.first() {
        let more = match report.uncommitted.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        parts.push(format!("not committed within the time after the stop: {first}{more}"));
    }
    if report.too_many_skipped {
        if parts.is_empty() {
            hint = Some("`extraction_slice` says who and why".to_owned());
        }
        let skipped = counted(report.users_skipped, "user");
        let reason = if counts.is_empty() { first_reason(report) } else { String::new() };
        parts.push(format!("{skipped} skipped, more than 5 % of the scope{reason}"));
    }
    let message = if parts.is_empty() {
        "stopped before everything was read; what is complete is kept".to_owned()
    } else {
        format!("partial: {}", parts.join("; "))
    };
    // A run whose lease was taken over has stopped for the other one, whatever it did before.
    let is_lost = report.ended_early.iter().any(|ended| of_pipeline(&ended.error) == Cause::LeaseLost);
    let code = if is_lost { ExitCode::Held } else { ExitCode::Partial };
    Problem { code, message, hint }
}

/// Why slices failed: the first cause that does not go away by itself.
fn cause_of_slices(report: &Report) -> Cause {
    report.first_failure.as_ref().map_or(Cause::Transient, of_service)
}

/// The first of the reasons in the tables' reports.
fn first_reason(report: &Report) -> String {
    let is_stopped = |table: &&TableReport| report.stopped_tables.iter().any(|stopped| stopped.table == table.table);
    let first = |table: &TableReport| Some(format!(": {}, {}", table.reasons.first()?, table.table));
    report.tables.iter().filter(|table| !is_stopped(table)).find_map(first).unwrap_or_default()
}

/// The chain of causes on one line, without repetition.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let text = without_number(&text);
        if line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

#[cfg(test)]
mod tests;
