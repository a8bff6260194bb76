//! Environment variables and terminals: the only file of the project that reads the environment.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;

/// The prefix of the program's variables: `COPILOT_LAKE_SECTION__KEY`.
pub(crate) const PREFIX: &str = "COPILOT_LAKE_";

/// A variable that belongs to this program.
#[derive(Clone)]
pub(crate) struct Variable {
    /// Its full name, such as `COPILOT_LAKE_LAKE__URL`.
    pub(crate) name: String,
    /// Its value; it may be a secret.
    pub(crate) value: String,
}

/// The variables that begin with [`PREFIX`], by name. An empty one counts as not set.
pub(crate) fn variables() -> Vec<Variable> {
    let mut found: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| name.starts_with(PREFIX))?.to_owned();
            let value = value.to_string_lossy().into_owned();
            (!value.is_empty()).then_some(Variable { name, value })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Whether a variable is set to an empty text.
#[cfg(feature = "workers")]
pub(crate) fn is_empty(name: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]
    let value = std::env::var_os(name);
    value.is_some_and(|value| value.is_empty())
}

/// The names of the program's variables: another program that it starts must not inherit them, some are secrets.
pub(crate) fn variable_names() -> Vec<String> {
    variables().into_iter().map(|variable| variable.name).collect()
}

/// The variable that names the proxy for https://; the HTTP client reads the same ones in the same order.
pub(crate) fn proxy_variable() -> Option<Variable> {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let (name, value) = names.into_iter().find_map(|name| Some((name, value(name)?)))?;
    Some(Variable { name: name.to_owned(), value })
}

/// The identity that the platform provides to the process.
pub(crate) struct PlatformIdentity {
    /// The token endpoint of a managed identity, and the header that authenticates this process to it.
    pub(crate) endpoint: Option<String>,
    pub(crate) header: Option<String>,
    /// Workload identity federation.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) client_id: Option<String>,
}

/// Reads the variables that Azure's platforms set.
pub(crate) fn platform_identity() -> PlatformIdentity {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    PlatformIdentity {
        endpoint: of("IDENTITY_ENDPOINT"),
        header: of("IDENTITY_HEADER"),
        token_file: of("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        tenant_id: of("AZURE_TENANT_ID"),
        client_id: of("AZURE_CLIENT_ID"),
    }
}

/// The time that a reproducible build gives its outputs, in seconds since the Unix epoch.
///
/// <https://reproducible-builds.org/specs/source-date-epoch/>
#[cfg(feature = "query")]
pub(crate) fn source_date_epoch() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]
    let value = std::env::var("SOURCE_DATE_EPOCH");
    value.ok().filter(|value| !value.is_empty())
}

/// Whether stderr is a terminal on which lines can be redrawn.
pub(crate) fn stderr_is_terminal() -> bool {
    #[expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == OsStr::new("dumb"));
    std::io::stderr().is_terminal() && !dumb
}

/// Whether stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The width of the terminal at stdout, 80 where it does not say; `None` where stdout is no terminal.
pub(crate) fn terminal_columns() -> Option<usize> {
    stdout_is_terminal().then(|| usize::from(console::Term::stdout().size().1))
}
