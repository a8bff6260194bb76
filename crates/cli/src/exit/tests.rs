//! Errors as problems: exit code, message and hint.

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
    let not_found = |name: &str, is_quoted| {
        let known = ["t.createdon", "t.modifiedon", "t.week_start"].map(str::to_owned).into();
        problem(&copilot_lake_query::Error::ColumnNotFound { name: name.to_owned(), known, is_quoted }.into())
    };
    let problem = not_found("creatdon", false);
    assert_eq!(problem.message, "the query cannot be run: no column creatdon");
    assert_eq!(problem.hint.unwrap(), "the nearest column is `t.createdon`");
    assert_eq!(not_found("CreatedOn", true).hint.unwrap(), "the nearest column is `t.createdon`");
    assert!(not_found("nope", false).hint.unwrap().starts_with("`copilot-lake tables TABLE`"));
    assert!(not_found("nope", true).hint.unwrap().starts_with("texts stand in single quotes: 'nope'; "));
}

#[cfg(feature = "query")]
#[test]
fn an_unknown_function_names_a_near_one_or_how_to_find_it() {
    let not_found = |name: &str| {
        let known = ["sin", "strftime", "string_split"].map(str::to_owned).into();
        problem(&copilot_lake_query::Error::FunctionNotFound { name: name.to_owned(), known }.into())
    };
    let problem = not_found("strftme");
    assert_eq!(problem.message, "the query cannot be run: no function strftme");
    assert_eq!((problem.code, problem.hint.as_deref()), (ExitCode::Usage, Some("the nearest function is `strftime`")));
    assert!(not_found("printf").hint.unwrap().contains("SHOW FUNCTIONS"));
}

#[cfg(feature = "query")]
#[test]
fn failures_of_queries_have_the_advice_of_their_cause() {
    use copilot_lake_query::Error;
    let table = |remedy| Error::Table { reason: String::new(), remedy };
    let full = Remedy::OfSystem(SystemFailure::NoSpace);
    for (error, wanted) in [
        (Error::Question(String::new()), Cause::QueryText),
        (Error::OutOfMemory(String::new()), Cause::QueryMemory),
        (Error::Run(String::new()), Cause::QueryFailed),
        (table(None), Cause::QueryFailed),
        (table(Some(Remedy::ReplaceFile)), Cause::Lake(Remedy::ReplaceFile)),
        (table(Some(full)), Cause::Lake(full)),
    ] {
        assert_eq!(cause(&error), Some(wanted), "{error:?}");
    }
}

#[cfg(feature = "query")]
#[test]
fn an_unknown_table_names_the_nearest_one() {
    let hint =
        |name: &str| problem(&copilot_lake_query::Error::TableNotFound { name: name.to_owned() }.into()).hint.unwrap();
    assert_eq!(hint("copilotevent"), "the nearest table is `msdyn_copilotevent`");
    assert_eq!(hint("msdyn_copilotevents"), "the nearest table is `msdyn_copilotevent`");
    assert_eq!(hint("nonsense_of_mine"), "`copilot-lake tables` lists them all");
}

#[test]
fn a_busy_service_is_no_wrong_address() {
    use copilot_lake_extractor::{Error, FailedCall};
    let hint = |error: Error| {
        let problem = problem(&error.into());
        assert_eq!(problem.code, ExitCode::Failed);
        problem.hint.unwrap()
    };
    let exhausted = |status| Error::RetriesExhausted { status, cause: "c".to_owned(), call: Box::default() };
    for status in [429, 503] {
        for (url, is_of_history) in [
            ("https://graph.microsoft.com/v1.0/copilot/users/*/interactionHistory/getAllEnterpriseInteractions", true),
            ("https://graph.microsoft.com/v1.0/users", false),
            ("https://contoso.crm.dynamics.com/api/data/v9.2/msdyn_copilotevents", false),
            ("https://login.microsoftonline.com/contoso/oauth2/v2.0/token", false),
        ] {
            let call = Box::new(FailedCall { url: url.to_owned(), ..FailedCall::default() });
            let hint = hint(Error::RetriesExhausted { status, cause: "c".to_owned(), call });
            let names_setting = hint.contains("`graph.requests_per_second`");
            assert!(hint.contains("again later") && names_setting == is_of_history, "{url}: {hint}");
        }
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

#[test]
fn errors_of_services_have_the_advice_of_their_cause() {
    use copilot_lake_extractor::{Error, ProxyFailure};
    let call = Box::default;
    let missing = |table, privilege: Option<&str>| Error::PermissionMissing {
        table,
        privilege: privilege.map(str::to_owned),
        call: Box::default(),
    };
    let unreachable = |cause: &str| Error::Unreachable { cause: cause.to_owned(), call: Box::default() };
    let exhausted = |status| Error::RetriesExhausted { status, cause: String::new(), call: Box::default() };
    let proxy = |failure| Error::Proxy { proxy: String::new(), failure, call: Box::default() };
    let text = String::new;
    for (error, wanted) in [
        (Error::Usage { what: text() }, Cause::Setting),
        (Error::SignInRefused { code: "AADSTS7000215".to_owned(), advice: "" }, Cause::SignInRefused),
        (Error::SignInRefused { code: "status 401".to_owned(), advice: "" }, Cause::SignInRefused),
        (Error::SignInRefused { code: "AADSTS53003".to_owned(), advice: "" }, Cause::SignInBlocked),
        (Error::SignInRefused { code: "AADSTS7000112".to_owned(), advice: "" }, Cause::SignInBlocked),
        (missing(Some("msdyn_copilotevent"), Some("prvRead")), Cause::PrivilegeMissing),
        (missing(Some("ai_interaction"), Some("AiEnterpriseInteraction.Read.All")), Cause::RoleMissing),
        (missing(None, None), Cause::ApplicationUserMissing),
        (unreachable("connection refused"), Cause::Unreachable),
        (unreachable("invalid peer certificate: UnknownIssuer"), Cause::UnknownAuthority),
        (unreachable("invalid peer certificate: Expired"), Cause::InvalidCertificate),
        (unreachable("too many open files"), Cause::Lake(Remedy::OfSystem(SystemFailure::TooManyOpenFiles))),
        (proxy(ProxyFailure::CredentialsMissing), Cause::ProxyCredentials),
        (proxy(ProxyFailure::Refused), Cause::ProxyRefused),
        (proxy(ProxyFailure::Unreachable(text())), Cause::ProxyUnreachable),
        (exhausted(429), Cause::Throttled),
        (exhausted(500), Cause::ServiceFailing),
        (Error::Refused { status: 400, code: text(), message: text(), call: call() }, Cause::RequestRefused),
        (Error::BadPage { reason: text(), call: call() }, Cause::BadResponse),
        (Error::PageTokenExpired { call: call() }, Cause::Transient),
    ] {
        assert_eq!(cause(&error), Some(wanted), "{error}");
        let problem = problem(&error.into());
        assert_eq!((problem.code, problem.hint), (wanted.code_and_hint().0, wanted.hint()));
    }
}

#[cfg(unix)]
#[test]
fn what_the_system_refuses_is_advised_wherever_it_shows() {
    let os = std::io::Error::from_raw_os_error;
    for (number, words) in [
        (28, "make room on that disk"),
        (122, "make room on that disk"),
        (30, "mount that file system"),
        (13, "give this user the right"),
        (24, "raise the limit of open files"),
        (12, "more memory"),
        (5, "the device reports errors"),
    ] {
        let error = anyhow::Error::from(os(number)).context("cannot write `x.csv`");
        let problem = problem(&error);
        let hint = problem.hint.unwrap();
        assert!(problem.code == ExitCode::Failed && hint.contains(words), "{number}: {hint}");
        assert!(problem.message.starts_with("cannot write `x.csv`: ") && !problem.message.contains("os error"));
    }
}

#[test]
fn a_failed_run_is_advised_by_its_first_refusal() {
    use copilot_lake_extractor::Error;
    let hint = |outcome, first_failure| {
        let report = Report { outcome, first_failure, ..empty_report() };
        run_problem(&report).unwrap().hint.unwrap()
    };
    for outcome in [RunOutcome::Failed, RunOutcome::Partial] {
        assert!(hint(outcome, None).starts_with("run the same command again"));
        let refused = Error::Refused { status: 400, code: String::new(), message: String::new(), call: Box::default() };
        assert!(hint(outcome, Some(refused)).starts_with("repeating it does not help"));
        let missing = Error::ColumnSecured { table: "t", column: "c", call: Box::default() };
        assert!(hint(outcome, Some(missing)).contains("column security profile"));
    }
}

fn empty_report() -> Report {
    Report {
        run_id: String::new(),
        outcome: RunOutcome::Complete,
        stopped: false,
        permission_missing: false,
        too_many_skipped: false,
        ended_early: Vec::new(),
        stopped_tables: Vec::new(),
        first_failure: None,
        uncommitted: Vec::new(),
        users_skipped: 0,
        seconds: 0.0,
        requests: 0,
        throttled_seconds: 0.0,
        identities: Vec::new(),
        tables: Vec::new(),
    }
}
