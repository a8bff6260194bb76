//! Errors of every crate, mapped to an exit code, a message and a hint. The only place that does so.

use copilot_lake_extractor::role;
use copilot_lake_pipeline::{EndedEarly, Report, RunOutcome, StoppedTable, TableReport};
use copilot_lake_tables::{Service, Table, table};

#[cfg(feature = "query")]
use crate::nearest::{is_near, nearest};
use crate::output::remedy::advice;
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
    let (code, hint) = found.unwrap_or((ExitCode::Failed, None));
    Problem { code, message: one_line(error), hint }
}

/// The code and the hint of an error of our crates.
fn code_and_hint(error: &(dyn std::error::Error + 'static)) -> Option<(ExitCode, Option<String>)> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some((problem.code, problem.hint.clone()));
    }
    #[cfg(feature = "query")]
    if let Some(error) = error.downcast_ref::<copilot_lake_query::Error>() {
        return Some(query_error(error));
    }
    #[cfg(feature = "demo")]
    if error.is::<copilot_lake_emulator::Error>() {
        return Some((ExitCode::Usage, Some("correct the scenario, or choose another `--listen`".to_owned())));
    }
    let (code, hint) = if let Some(error) = error.downcast_ref::<copilot_lake_pipeline::Error>() {
        match error {
            copilot_lake_pipeline::Error::Lake(error) => lake_error(error),
            copilot_lake_pipeline::Error::Service(error) => service_error(error),
            copilot_lake_pipeline::Error::EmptyWindow { .. } => (
                ExitCode::Usage,
                "the window begins with `--since` and ends with `--until`, or now: its end must be later",
            ),
            copilot_lake_pipeline::Error::NothingArchived { .. } => {
                (ExitCode::Usage, "name a lake that was written with `lake.archive_raw = true`, or its `_raw`")
            }
            copilot_lake_pipeline::Error::Archive { .. } => {
                (ExitCode::Failed, "leave out the named folder, or restore it from a backup")
            }
            copilot_lake_pipeline::Error::RoleMissing { .. } => (ExitCode::Refused, GRANT_ROLE),
            copilot_lake_pipeline::Error::Decode(_) => (ExitCode::Failed, RUN_AGAIN),
        }
    } else if let Some(error) = error.downcast_ref::<copilot_lake_extractor::Error>() {
        service_error(error)
    } else if let Some(error) = error.downcast_ref::<copilot_lake_writer::Error>() {
        lake_error(error)
    } else {
        return None;
    };
    Some((code, Some(hint.to_owned())))
}

const GRANT_ROLE: &str = "grant the application this permission of Microsoft Graph, as an administrator, with admin consent; sign-ins use it within an hour";
const RUN_AGAIN: &str = "run the same command again: it does the rest";

fn service_error(error: &copilot_lake_extractor::Error) -> (ExitCode, &'static str) {
    use copilot_lake_extractor::Error;
    match error {
        Error::Usage { .. } => (ExitCode::Usage, "correct the configuration"),
        Error::Insecure { .. } => (ExitCode::Usage, "write it with https://"),
        Error::SignInRefused { .. } => (
            ExitCode::Refused,
            "it signs in with `auth.tenant_id`, `auth.client_id` and the credential beside them; `copilot-lake check` \
                 tries just that",
        ),
        Error::PermissionMissing { privilege: Some(_), table: Some(name), .. } if is_read_through_graph(name) => {
            (ExitCode::Refused, GRANT_ROLE)
        }
        Error::PermissionMissing { privilege: Some(_), .. } => {
            (ExitCode::Refused, "give the application user a security role with that privilege")
        }
        Error::PermissionMissing { .. } => {
            (ExitCode::Refused, "add an application user for this app in the Power Platform admin center")
        }
        Error::ColumnSecured { .. } => {
            (ExitCode::Refused, "add the application user to a column security profile that may read this column")
        }
        Error::TableMissing { .. } => {
            (ExitCode::Failed, "name only tables that the environment has in `dataverse.tables`")
        }
        Error::ForeignLink { .. } => (
            ExitCode::Failed,
            "check that `dataverse.url` is the environment's own address, and `graph.url` that of Graph",
        ),
        Error::Unreachable { cause, .. } if cause.contains("UnknownIssuer") => (
            ExitCode::Failed,
            "if a proxy intercepts TLS, name its CA certificate in `network.ca_file`, then run it again",
        ),
        Error::Unreachable { cause, .. } if cause.contains("certificate") => (
            ExitCode::Failed,
            "the certificate is not valid for this name or at this time: check the address and this machine's clock, or \
             report it to the operators of the service or the proxy",
        ),
        Error::Unreachable { .. } => (
            ExitCode::Failed,
            "check `dataverse.url`, `graph.url`, `auth.authority` and the network, then run it again",
        ),
        Error::RetriesExhausted { status: 429 | 503, .. } => (
            ExitCode::Failed,
            "the service is throttling or busy: run the same command again later; for Microsoft Graph, a lower \
             `graph.requests_per_second` helps",
        ),
        Error::RetriesExhausted { .. } => {
            (ExitCode::Failed, "the service is failing: run the same command again later, it does the rest")
        }
        Error::Paused { .. } => (ExitCode::Failed, "run the same command again after that time: it does the rest"),
        Error::UserRefused { .. } | Error::InvalidUserId { .. } | Error::GroupMissing { .. } => {
            (ExitCode::Failed, "check the users and groups that `graph.users` and `graph.exclude` name")
        }
        Error::Refused { .. }
        | Error::FilterRefused { .. }
        | Error::PageTokenExpired { .. }
        | Error::ColumnMissing { .. }
        | Error::DeltaTokenExpired { .. }
        | Error::FileMissing { .. }
        | Error::FileTooLarge { .. }
        | Error::BadPage { .. } => (ExitCode::Failed, RUN_AGAIN),
        Error::Stopped => (ExitCode::Partial, RUN_AGAIN),
    }
}

/// Whether a table is read through Graph.
fn is_read_through_graph(name: &str) -> bool {
    table(name).and_then(Table::service) == Some(Service::Graph)
}

fn lake_error(error: &copilot_lake_writer::Error) -> (ExitCode, &'static str) {
    use copilot_lake_writer::Error;
    match error {
        Error::Held { .. } => (ExitCode::Held, "wait until it ends; the lock of a killed run is released by itself"),
        Error::LeaseLost { .. } => (ExitCode::Held, "wait until the other run ends, then run the same command again"),
        Error::NoConditionalPut => (
            ExitCode::Usage,
            "use another store, or set `lake.single_writer = true` and never run two commands on it at a time",
        ),
        Error::OtherInstance { .. } => {
            (ExitCode::Usage, "use a separate lake for each environment, named with `--lake`")
        }
        Error::NewerLake { .. } => (ExitCode::Usage, "update copilot-lake"),
        Error::Unsupported { .. } => (
            ExitCode::Usage,
            "name a directory or a store with `--lake` or in `lake.url`: s3://, az://, abfss:// or gs://",
        ),
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            (ExitCode::Usage, "check the path")
        }
        Error::Store { .. } | Error::File { .. } => {
            (ExitCode::Failed, "check that there is space and that this user may write there, then run it again")
        }
        error => (ExitCode::Failed, error.remedy().map_or(RUN_AGAIN, advice)),
    }
}

#[cfg(feature = "query")]
fn query_error(error: &copilot_lake_query::Error) -> (ExitCode, Option<String>) {
    match error {
        copilot_lake_query::Error::ColumnNotFound { name, known } => {
            // DataFusion lists every column there is; the one that was meant is enough.
            let near = nearest(name, known.iter().map(String::as_str)).filter(|near| is_near(name, near));
            let near = near.map(|near| format!("the nearest column is `{near}`; ")).unwrap_or_default();
            (
                ExitCode::Usage,
                Some(format!("{near}`copilot-lake tables TABLE` lists the columns of a table, in lower case")),
            )
        }
        copilot_lake_query::Error::Question(_) => {
            let hint =
                "`copilot-lake tables` lists tables and columns, `copilot-lake query --list` queries and parameters";
            (ExitCode::Usage, Some(hint.to_owned()))
        }
        copilot_lake_query::Error::Lake(error) => {
            let (code, hint) = lake_error(error);
            (code, Some(hint.to_owned()))
        }
        copilot_lake_query::Error::Table { remedy: of_table, .. } => {
            (ExitCode::Failed, of_table.map(|of_table| advice(of_table).to_owned()))
        }
        copilot_lake_query::Error::Run(_) => (ExitCode::Failed, None),
    }
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
            Some(Problem::new(ExitCode::Failed, format!("no slice was done{}", first_reason(report))).hint(RUN_AGAIN))
        }
        RunOutcome::Partial => Some(partial_run(report, users.map_or(0, |users| users.slices_skipped))),
    }
}

/// The problem with a run that did some of its work.
fn partial_run(report: &Report, users_skipped: u64) -> Problem {
    let (failed, payloads) = (report.total(|table| table.slices_failed), report.total(|table| table.payloads_failed));
    let mut parts = Vec::new();
    let mut hint = RUN_AGAIN.to_owned();
    for EndedEarly { service, error } in &report.ended_early {
        parts.push(format!("{} was given up: {error}", service.name()));
        hint = code_and_hint(error).and_then(|(_, hint)| hint).unwrap_or(hint);
    }
    for StoppedTable { error, .. } in &report.stopped_tables {
        parts.push(error.to_string());
    }
    if let Some(of_table) = report.stopped_tables.iter().find_map(|of| of.error.remedy()) {
        advice(of_table).clone_into(&mut hint);
    }
    // Those of stopped tables are named above.
    let failed = failed.saturating_sub(report.stopped_tables.len() as u64);
    let counts = [(failed, "slice"), (payloads, "payload")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| counted(count, what)).collect();
    if !counts.is_empty() {
        parts.push(format!("{} failed{}", counts.join(" and "), first_reason(report)));
    }
    if report.too_many_skipped {
        if parts.is_empty() {
            "`extraction_slice` says who and why".clone_into(&mut hint);
        }
        let skipped = counted(users_skipped, "user");
        let reason = if counts.is_empty() { first_reason(report) } else { String::new() };
        parts.push(format!("{skipped} skipped, more than 5 % of the scope{reason}"));
    }
    let message = if parts.is_empty() {
        "stopped before everything was read; what is complete is kept".to_owned()
    } else {
        format!("partial: {}", parts.join("; "))
    };
    Problem::new(ExitCode::Partial, message).hint(hint)
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

/// The operating system's message without its error number.
fn without_number(text: &str) -> String {
    let Some((before, after)) = text.split_once(" (os error ") else { return text.to_owned() };
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(')'))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::problem::usage;

    #[test]
    fn a_problem_keeps_its_code_and_hint_below_context() {
        let error = anyhow::Error::from(usage("no lake at `x`").hint("extract first")).context("cannot query");
        let problem = problem(&error);
        assert_eq!(problem.code, ExitCode::Usage);
        assert_eq!(problem.message, "cannot query: no lake at `x`");
        assert_eq!(problem.hint.as_deref(), Some("extract first"));
    }

    #[test]
    fn others_fail_on_one_line() {
        let error = Err::<(), _>(std::io::Error::other("a\n  b")).context("reading").unwrap_err();
        let problem = problem(&error);
        assert_eq!((problem.code, problem.message.as_str()), (ExitCode::Failed, "reading: a b"));
    }

    #[cfg(feature = "query")]
    #[test]
    fn an_unknown_column_names_the_nearest_one_only() {
        let not_found = |name: &str| {
            let known = ["t.createdon", "t.modifiedon", "t.week_start"].map(str::to_owned).into();
            problem(&copilot_lake_query::Error::ColumnNotFound { name: name.to_owned(), known }.into())
        };
        let problem = not_found("creatdon");
        assert_eq!(problem.message, "the query cannot be run: No field named creatdon");
        assert!(problem.hint.unwrap().starts_with("the nearest column is `t.createdon`; "));
        assert!(not_found("nope").hint.unwrap().starts_with("`copilot-lake tables TABLE`"));
    }

    #[test]
    fn a_busy_service_is_no_wrong_address() {
        use copilot_lake_extractor::Error;
        let hint = |error: Error| {
            let problem = problem(&error.into());
            assert_eq!(problem.code, ExitCode::Failed);
            problem.hint.unwrap()
        };
        let exhausted = |status| Error::RetriesExhausted { status, cause: "c".to_owned(), call: Box::default() };
        for status in [429, 503] {
            let hint = hint(exhausted(status));
            assert!(hint.contains("again later") && hint.contains("`graph.requests_per_second`"), "{hint}");
        }
        assert!(hint(exhausted(500)).starts_with("the service is failing: "));
        let unreachable = Error::Unreachable { cause: "connection refused".to_owned(), call: Box::default() };
        assert!(hint(unreachable).contains("`dataverse.url`"));
    }

    #[test]
    fn a_broken_pipe_is_found_below_context() {
        let error = Err::<(), _>(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).context("writing").unwrap_err();
        assert!(is_broken_pipe(&error));
    }
}
