//! Why commands end, by what a person does next: the exit code and the hint of every cause, in one table.

use copilot_lake_writer::{Remedy, SystemFailure};

use crate::output::remedy::advice;
use crate::problem::ExitCode;

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A setting is invalid.
    Setting,
    /// `http://` to another machine.
    InsecureUrl,
    SignInRefused,
    /// The tenant keeps the application from signing in.
    SignInBlocked,
    /// An application permission of Graph is not granted.
    RoleMissing,
    /// A privilege of Dataverse is not granted.
    PrivilegeMissing,
    ApplicationUserMissing,
    ColumnSecured,
    TableMissing,
    /// A link leads away from the service.
    ForeignLink,
    /// The certificate's authority is not trusted.
    UnknownAuthority,
    /// The certificate is for another name or time.
    InvalidCertificate,
    Unreachable,
    /// The proxy wants a user name and a password, or others.
    ProxyCredentials,
    /// The proxy does not connect to this host.
    ProxyRefused,
    ProxyUnreachable,
    /// The service throttles, or is busy.
    Throttled,
    /// Graph throttles requests for histories, or is busy.
    HistoriesThrottled,
    ServiceFailing,
    /// The service asks for a long pause.
    Paused,
    /// A user or group of the configuration cannot be read.
    UserRefused,
    /// The service refuses the request, however often it is made.
    RequestRefused,
    /// A response is not one of the service.
    BadResponse,
    /// What failed may succeed the next time.
    Transient,
    /// The command was stopped.
    Stopped,
    /// Another run holds the lake.
    LakeHeld,
    LeaseLost,
    NoConditionalPut,
    OtherInstance,
    NewerLake,
    UnsupportedLake,
    /// There is no such file or folder.
    PathMissing,
    /// The lake, a table of it or the machine needs a person's help.
    Lake(Remedy),
    /// A bug.
    Internal,
    WindowEmpty,
    WindowAhead,
    NothingArchived,
    ArchiveDamaged,
    /// A shard does not go with what the lake has.
    ShardRefused,
    /// Some shards of a replay are not in the lake.
    ShardsMissing,
    /// The emulator's scenario, or its address.
    #[cfg(feature = "demo")]
    Emulator,
    /// The query is wrong.
    #[cfg(feature = "query")]
    QueryText,
    /// The query needs more memory than it may use.
    #[cfg(feature = "query")]
    QueryMemory,
    /// The query failed, for a reason that the message says.
    #[cfg(feature = "query")]
    QueryFailed,
    /// A worker cannot be reached, or failed.
    #[cfg(feature = "workers")]
    WorkerFailed,
    /// A worker wants another token.
    #[cfg(feature = "workers")]
    WorkerRefused,
    /// A worker is of another version or lake.
    #[cfg(feature = "workers")]
    WorkerUnfit,
}

impl Cause {
    /// The exit code, and what to do; empty if the message says it.
    pub(crate) const fn code_and_hint(self) -> (ExitCode, &'static str) {
        use ExitCode::{Failed, Held, Partial, Refused, Usage};
        match self {
            Self::Setting => (Usage, "correct the configuration"),
            Self::InsecureUrl => (Usage, "write it with https://"),
            Self::SignInRefused => (
                Refused,
                "it signs in with `auth.tenant_id`, `auth.client_id` and the credential beside them; `copilot-lake check` \
                 tries just that",
            ),
            Self::SignInBlocked => {
                (Refused, "an administrator of the tenant can change that; the configuration is not to blame")
            }
            Self::RoleMissing => (
                Refused,
                "grant the application this permission of Microsoft Graph, as an administrator, with admin consent; \
                 sign-ins use it within an hour",
            ),
            Self::PrivilegeMissing => (Refused, "give the application user a security role with that privilege"),
            Self::ApplicationUserMissing => {
                (Refused, "add an application user for this app in the Power Platform admin center")
            }
            Self::ColumnSecured => {
                (Refused, "add the application user to a column security profile that may read this column")
            }
            Self::TableMissing => (Failed, "name only tables that the environment has in `dataverse.tables`"),
            Self::ForeignLink => {
                (Failed, "check that `dataverse.url` is the environment's own address, and `graph.url` that of Graph")
            }
            Self::UnknownAuthority => {
                (Failed, "if a proxy intercepts TLS, name its CA certificate in `network.ca_file`, then run it again")
            }
            Self::InvalidCertificate => (
                Failed,
                "the certificate is not valid for this name or at this time: check the address and this machine's \
                 clock, or report it to the operators of the service or the proxy",
            ),
            Self::Unreachable => {
                (Failed, "check `dataverse.url`, `graph.url`, `auth.authority` and the network, then run it again")
            }
            Self::ProxyCredentials => (
                Usage,
                "put the proxy's user name and password into its address, as in http://user:password@proxy:8080, with \
                 special characters percent-encoded",
            ),
            Self::ProxyRefused => (
                Failed,
                "ask the proxy's administrators to allow this host, or name another proxy in `network.proxy`; hosts in \
                 NO_PROXY are reached without one",
            ),
            Self::ProxyUnreachable => (
                Failed,
                "check the proxy's name and port and whether it runs; hosts in NO_PROXY are reached without one",
            ),
            Self::Throttled => (Failed, "the service is throttling or busy: run the same command again later"),
            Self::HistoriesThrottled => (
                Failed,
                "Microsoft Graph is throttling or busy: run the same command again later; a lower \
                 `graph.requests_per_second` helps",
            ),
            Self::ServiceFailing => {
                (Failed, "the service is failing: run the same command again later, it does the rest")
            }
            Self::Paused => (Failed, "run the same command again after that time: it does the rest"),
            Self::UserRefused => (Failed, "check the users and groups that `graph.users` and `graph.exclude` name"),
            Self::RequestRefused => (
                Failed,
                "repeating it does not help: `copilot-lake check` tries what a run needs, and the service's support \
                 knows the request by its id",
            ),
            Self::BadResponse => (
                Failed,
                "check that `dataverse.url` and `graph.url` are the services' own addresses and that nothing in between \
                 changes responses; if they are, run the same command again later",
            ),
            Self::Transient => (Failed, "run the same command again: it does the rest"),
            Self::Stopped => (Partial, "run the same command again: it does the rest"),
            Self::LakeHeld => (Held, "wait until it ends; the lock of a killed run is released by itself"),
            Self::LeaseLost => (Held, "wait until the other run ends, then run the same command again"),
            Self::NoConditionalPut => (
                Usage,
                "use another store, or set `lake.single_writer = true` and never run two commands on it at a time",
            ),
            Self::OtherInstance => (Usage, "use a separate lake for each environment, named with `--lake`"),
            Self::NewerLake => (Usage, "update copilot-lake"),
            Self::UnsupportedLake => {
                (Usage, "name a directory or a store with `--lake` or in `lake.url`: s3://, az://, abfss:// or gs://")
            }
            Self::PathMissing => (Usage, "check the path"),
            Self::Lake(remedy @ Remedy::OfSystem(SystemFailure::StoreRefuses)) => (Refused, advice(remedy)),
            Self::Lake(remedy) => (Failed, advice(remedy)),
            Self::Internal => {
                (Failed, "please report this line and the command that you ran; what was committed stays")
            }
            Self::WindowEmpty => {
                (Usage, "the window begins with `--since` and ends before `--until`: its end must be later")
            }
            Self::WindowAhead => (Usage, "`--since` is a time in the past, or an age such as `7d`; times are UTC"),
            Self::NothingArchived => {
                (Usage, "name a lake that was written with `lake.archive_raw = true`, or its `_raw`")
            }
            Self::ShardRefused => {
                (Usage, "the shards of one unchanged archive, `--shard 1/N` to `--shard N/N`, fill one new lake")
            }
            Self::ShardsMissing => (Partial, "replay each of these with `--shard`, then run the same command again"),
            Self::ArchiveDamaged => (Failed, "leave out the named folder, or restore it from a backup"),
            #[cfg(feature = "demo")]
            Self::Emulator => (Usage, "correct the scenario, or choose another `--listen`"),
            #[cfg(feature = "query")]
            Self::QueryText => (Usage, ""),
            #[cfg(feature = "query")]
            Self::QueryMemory => (
                Failed,
                "read less at a time: fewer columns, or some weeks only, as by `WHERE week_start >= '2025-06-01'`",
            ),
            #[cfg(feature = "query")]
            Self::QueryFailed => (Failed, ""),
            #[cfg(feature = "workers")]
            Self::WorkerFailed => {
                (Failed, "leave the worker out of `--workers`, or start it and run the same command again")
            }
            #[cfg(feature = "workers")]
            Self::WorkerRefused => (
                Refused,
                "set COPILOT_LAKE_WORKERS__TOKEN, or `workers.token_file`, to the token that the worker was started with",
            ),
            #[cfg(feature = "workers")]
            Self::WorkerUnfit => (
                Usage,
                "run one version of copilot-lake everywhere, and start workers with the `--lake` that is queried",
            ),
        }
    }

    /// The hint, if there is one.
    pub(crate) fn hint(self) -> Option<String> {
        let (_, hint) = self.code_and_hint();
        (!hint.is_empty()).then(|| hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where nothing but time passes before the same command succeeds.
    const AGAIN: [Cause; 7] = [
        Cause::Throttled,
        Cause::HistoriesThrottled,
        Cause::ServiceFailing,
        Cause::Paused,
        Cause::BadResponse,
        Cause::Transient,
        Cause::Stopped,
    ];

    #[test]
    fn the_same_command_is_advised_only_where_it_helps() {
        let others = [
            Cause::SignInRefused,
            Cause::PrivilegeMissing,
            Cause::RoleMissing,
            Cause::RequestRefused,
            Cause::ProxyCredentials,
            Cause::ProxyRefused,
            Cause::ProxyUnreachable,
            Cause::Lake(Remedy::Repair),
            Cause::Lake(Remedy::RestoreLog),
            Cause::Lake(Remedy::ReplaceFile),
            Cause::Lake(Remedy::OfSystem(SystemFailure::NoSpace)),
            Cause::Lake(Remedy::OfSystem(SystemFailure::PermissionDenied)),
            #[cfg(feature = "query")]
            Cause::QueryMemory,
            Cause::Internal,
        ];
        let advises = |cause: Cause| cause.hint().is_some_and(|hint| hint.contains("the same command"));
        assert!(AGAIN.into_iter().all(advises));
        assert!(!others.into_iter().any(advises));
    }

    #[test]
    fn codes_are_those_of_the_contract() {
        for (cause, code) in [
            (Cause::Setting, 2),
            (Cause::SignInRefused, 5),
            (Cause::SignInBlocked, 5),
            (Cause::RoleMissing, 5),
            (Cause::PrivilegeMissing, 5),
            (Cause::ProxyCredentials, 2),
            (Cause::ProxyRefused, 1),
            (Cause::ProxyUnreachable, 1),
            (Cause::Unreachable, 1),
            (Cause::LakeHeld, 4),
            (Cause::LeaseLost, 4),
            (Cause::NoConditionalPut, 2),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::NoSpace)), 1),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::ReadOnly)), 1),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::PermissionDenied)), 1),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::TooManyOpenFiles)), 1),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::StoreUnavailable)), 1),
            (Cause::Lake(Remedy::OfSystem(SystemFailure::StoreRefuses)), 5),
            (Cause::Lake(Remedy::Repair), 1),
            (Cause::WindowAhead, 2),
            #[cfg(feature = "query")]
            (Cause::QueryText, 2),
            #[cfg(feature = "query")]
            (Cause::QueryMemory, 1),
            #[cfg(feature = "workers")]
            (Cause::WorkerFailed, 1),
            #[cfg(feature = "workers")]
            (Cause::WorkerRefused, 5),
            #[cfg(feature = "workers")]
            (Cause::WorkerUnfit, 2),
        ] {
            assert_eq!(cause.code_and_hint().0 as u8, code, "{cause:?}");
        }
    }
}
