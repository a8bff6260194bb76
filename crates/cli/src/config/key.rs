//! The keys of the configuration: each declared once. Parsing, defaults, documentation and origins walk [`KEYS`].

use std::borrow::Cow;
use std::fmt;

use copilot_lake_tables::Service;

use super::value::ValueKind;
use crate::environment;
use crate::output::table::aligned;

/// A key in one section, or in several: the later ones override the first for one service.
pub(crate) struct ConfigKey {
    /// The sections it may appear in; the default belongs to the first.
    pub(crate) sections: &'static [&'static str],
    /// Its name within a section.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: ValueKind,
    /// Its value if none is given, as text.
    pub(crate) default: Option<&'static str>,
    /// When it has to be set; `None`: it is optional, or has a default.
    pub(crate) required: Option<Required>,
    /// What it means: one or two short clauses.
    pub(crate) doc: &'static str,
}

/// When a key has to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Required {
    /// When this service is read.
    ToRead(Service),
    /// When an application signs in, by a secret, a certificate or a federated token.
    ByApplications,
    /// With this `auth.method`, unless the other key is set.
    WithMethod(&'static str, Option<&'static str>),
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToRead(service) => write!(f, "required for {}", service.name()),
            Self::ByApplications => f.write_str("required, but not for managed-identity and azure-cli"),
            Self::WithMethod(method, None) => write!(f, "required for {method}"),
            Self::WithMethod(method, Some(other)) => write!(f, "this or {other} is required for {method}"),
        }
    }
}

impl ConfigKey {
    const fn new(section: &'static [&'static str], name: &'static str, kind: ValueKind) -> Self {
        Self { sections: section, name, kind, default: None, required: None, doc: "" }
    }

    const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    const fn required(mut self, when: Required) -> Self {
        self.required = Some(when);
        self
    }

    const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }

    /// Whether its value is a secret, names the file of one, or may hold one.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, ValueKind::Secret) || SECRET_KEYS.contains(&self.name)
    }

    /// The sections in which it is looked for, for one of them: the first that has it counts.
    pub(crate) fn lookup<'s>(&self, section: &'s str) -> Vec<&'s str> {
        match entry(section) {
            None => vec![section, self.sections[0]],
            Some((list, ..)) if INHERITED.contains(&self.name) => {
                let own = self.sections.iter().find(|own| list.strip_suffix("identity") == own.strip_suffix("auth"));
                std::iter::once(section).chain(own.copied()).chain([self.sections[0]]).collect()
            }
            // One identity is not to sign in with what another has.
            Some(_) => vec![section],
        }
    }

    /// Its full names, such as `auth.tenant_id` and `dataverse.auth.tenant_id`.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.sections.iter().map(|section| format!("{section}.{}", self.name))
    }
}

/// Names of keys whose files are secrets, or whose URL may hold one.
const SECRET_KEYS: &[&str] = &[
    "client_secret_file",
    "client_certificate_file",
    "client_certificate_password_file",
    "proxy",
    #[cfg(feature = "workers")]
    "token_file",
];

/// Sections whose keys are passed through unchanged.
pub(crate) const FREE_SECTIONS: &[&str] = &["lake.options"];

/// Sections that may be there more than once, as `[[dataverse.identity]]`; keys of the second are in `dataverse.identity.2`.
const LISTS: &[&str] = &["dataverse.identity", "graph.identity"];

/// Keys of `[auth]` that a section of a list need not repeat.
const INHERITED: &[&str] = &["method", "authority", "tenant_id"];

const LAKE: &[&str] = &["lake"];
const AUTH: &[&str] =
    &["auth", "dataverse.auth", "graph.auth", "lake.auth", "dataverse.identity.1", "graph.identity.1"];
const NETWORK: &[&str] = &["network"];
const DATAVERSE: &[&str] = &[Service::Dataverse.name()];
const GRAPH: &[&str] = &[Service::Graph.name()];

pub(crate) static LAKE_URL: ConfigKey = ConfigKey::new(LAKE, "url", ValueKind::Location)
    .default("./lake")
    .doc("Where the lake is: a path, or a URL (s3://, az://, abfss://, gs://); a relative path starts at the file");
pub(crate) static REMOVED_FILES: ConfigKey = ConfigKey::new(LAKE, "removed_files", ValueKind::Duration)
    .doc("How long superseded files are kept for readers; if not set, 0s for a path and 7d for a store");
pub(crate) static ARCHIVE_RAW: ConfigKey = ConfigKey::new(LAKE, "archive_raw", ValueKind::Boolean)
    .default("false")
    .doc("Keep raw pages and payloads under _raw/");

pub(crate) static SHARED: ConfigKey = ConfigKey::new(LAKE, "shared", ValueKind::Boolean)
    .default("false")
    .doc("Give new files and folders the rights of the umask; if false, only their owner can read them");

pub(crate) static VIEWS: ConfigKey = ConfigKey::new(LAKE, "views", ValueKind::Boolean)
    .default("true")
    .doc("Make the tables copilot_request, m365_turn and calendar; if false, those that exist stay as they are");

pub(crate) static SINGLE_WRITER: ConfigKey = ConfigKey::new(LAKE, "single_writer", ValueKind::Boolean)
    .default("false")
    .doc("Write to a store that cannot keep two runs apart: never run two");

pub(crate) static METHOD: ConfigKey = ConfigKey::new(AUTH, "method", ValueKind::OneOf(METHODS))
    .default("client-secret")
    .doc("client-secret, client-certificate, managed-identity, workload-identity or azure-cli");
const METHODS: &[&str] = &["client-secret", "client-certificate", "managed-identity", "workload-identity", "azure-cli"];
pub(crate) static AUTHORITY: ConfigKey = ConfigKey::new(AUTH, "authority", ValueKind::Url)
    .default("https://login.microsoftonline.com")
    .doc("Where to sign in to Microsoft Entra ID");
pub(crate) static TENANT_ID: ConfigKey = ConfigKey::new(AUTH, "tenant_id", ValueKind::Text)
    .required(Required::ByApplications)
    .doc("The directory (tenant) id");
pub(crate) static CLIENT_ID: ConfigKey = ConfigKey::new(AUTH, "client_id", ValueKind::Text)
    .required(Required::ByApplications)
    .doc("The application (client) id");
pub(crate) static CLIENT_SECRET: ConfigKey = ConfigKey::new(AUTH, "client_secret", ValueKind::Secret)
    .required(Required::WithMethod("client-secret", Some("client_secret_file")))
    .doc("The application's secret; a file or the environment is a safer place");
pub(crate) static CLIENT_SECRET_FILE: ConfigKey =
    ConfigKey::new(AUTH, "client_secret_file", ValueKind::Path).doc("The file that holds the application's secret");
pub(crate) static CLIENT_CERTIFICATE_FILE: ConfigKey = ConfigKey::new(AUTH, "client_certificate_file", ValueKind::Path)
    .required(Required::WithMethod("client-certificate", None))
    .doc("The application's certificate and private key (PEM)");
pub(crate) static CLIENT_CERTIFICATE_PASSWORD_FILE: ConfigKey =
    ConfigKey::new(AUTH, "client_certificate_password_file", ValueKind::Path)
        .doc("The file that holds the private key's password");

pub(crate) static PROXY: ConfigKey = ConfigKey::new(NETWORK, "proxy", ValueKind::Url)
    .doc("The proxy for all requests; if not set, HTTPS_PROXY and NO_PROXY apply");
pub(crate) static CA_FILE: ConfigKey =
    ConfigKey::new(NETWORK, "ca_file", ValueKind::Path).doc("Certificates to trust in addition to the system's (PEM)");

pub(crate) static DATAVERSE_URL: ConfigKey = ConfigKey::new(DATAVERSE, "url", ValueKind::Url)
    .required(Required::ToRead(Service::Dataverse))
    .doc("The environment, such as https://contoso.crm.dynamics.com");
pub(crate) static DATAVERSE_TABLES: ConfigKey = ConfigKey::new(DATAVERSE, "tables", ValueKind::List)
    .doc("The tables to extract; if not set, all that the program knows");
pub(crate) static DATAVERSE_SINCE: ConfigKey = ConfigKey::new(DATAVERSE, "since", ValueKind::Moment)
    .doc("Start of the first pass: a UTC date, an instant or an age; if not set, the oldest row");
pub(crate) static PAGE_SIZE: ConfigKey =
    ConfigKey::new(DATAVERSE, "page_size", ValueKind::Integer(1, 5000)).default("5000").doc("Rows per response");
pub(crate) static PAYLOADS: ConfigKey =
    ConfigKey::new(DATAVERSE, "payloads", ValueKind::Boolean).default("true").doc("Fetch and decode File columns");
pub(crate) static OVERLAP: ConfigKey = ConfigKey::new(DATAVERSE, "overlap", ValueKind::Duration)
    .default("1h")
    .doc("How far a window reaches back before the end of the last one");
pub(crate) static DELETES: ConfigKey =
    ConfigKey::new(DATAVERSE, "deletes", ValueKind::OneOf(&["ignore", "mark", "remove"]))
        .default("ignore")
        .doc("What to do with rows deleted at the service, if it tracks changes: ignore, mark or remove");

pub(crate) static GRAPH_URL: ConfigKey = ConfigKey::new(GRAPH, "url", ValueKind::Url)
    .default("https://graph.microsoft.com")
    .doc("The Microsoft Graph endpoint");
pub(crate) static GRAPH_VERSION: ConfigKey =
    ConfigKey::new(GRAPH, "version", ValueKind::OneOf(&["v1.0", "beta"])).default("v1.0").doc("The API's version");
pub(crate) static GRAPH_USERS: ConfigKey = ConfigKey::new(GRAPH, "users", ValueKind::List)
    .required(Required::ToRead(Service::Graph))
    .doc("Whose histories are read: licensed, all, group:<id>, or ids and principal names");
pub(crate) static GRAPH_EXCLUDE: ConfigKey = ConfigKey::new(GRAPH, "exclude", ValueKind::List)
    .default("")
    .doc("Whose histories are never requested: ids, principal names or group:<id>");
pub(crate) static GRAPH_SINCE: ConfigKey = ConfigKey::new(GRAPH, "since", ValueKind::Moment)
    .required(Required::ToRead(Service::Graph))
    .doc("Start of the first window: a UTC date, an instant or an age");
pub(crate) static GRAPH_RATE: ConfigKey = ConfigKey::new(GRAPH, "requests_per_second", ValueKind::Integer(1, 1000))
    .default("24")
    .doc("History requests per second; 30 are documented, and 83 % of that can be sustained");
pub(crate) static GRAPH_OVERLAP: ConfigKey = ConfigKey::new(GRAPH, "overlap", ValueKind::Duration)
    .default("24h")
    .doc("How far a window reaches back before the end of the last one");
pub(crate) static GRAPH_APP_CLASSES: ConfigKey = ConfigKey::new(GRAPH, "app_classes", ValueKind::List)
    .default("")
    .doc("The app classes to read, as the service spells them; if empty, all");
pub(crate) static GRAPH_MODEL: ConfigKey =
    ConfigKey::new(GRAPH, "model", ValueKind::Text).doc("The billing model, passed to the service unchanged");

#[cfg(feature = "workers")]
pub(crate) static WORKERS_TOKEN: ConfigKey = ConfigKey::new(&["workers"], "token", ValueKind::Secret)
    .doc("What workers and their clients share; a file or the environment is a safer place");
#[cfg(feature = "workers")]
pub(crate) static WORKERS_TOKEN_FILE: ConfigKey =
    ConfigKey::new(&["workers"], "token_file", ValueKind::Path).doc("The file that holds the workers' token");

/// Every key, in the order in which the documentation lists them.
pub(crate) static KEYS: &[&ConfigKey] = &[
    &LAKE_URL,
    &REMOVED_FILES,
    &ARCHIVE_RAW,
    &SHARED,
    &VIEWS,
    &SINGLE_WRITER,
    &METHOD,
    &AUTHORITY,
    &TENANT_ID,
    &CLIENT_ID,
    &CLIENT_SECRET,
    &CLIENT_SECRET_FILE,
    &CLIENT_CERTIFICATE_FILE,
    &CLIENT_CERTIFICATE_PASSWORD_FILE,
    &PROXY,
    &CA_FILE,
    &DATAVERSE_URL,
    &DATAVERSE_TABLES,
    &DATAVERSE_SINCE,
    &PAGE_SIZE,
    &PAYLOADS,
    &OVERLAP,
    &DELETES,
    &GRAPH_URL,
    &GRAPH_VERSION,
    &GRAPH_USERS,
    &GRAPH_EXCLUDE,
    &GRAPH_SINCE,
    &GRAPH_RATE,
    &GRAPH_OVERLAP,
    &GRAPH_APP_CLASSES,
    &GRAPH_MODEL,
    #[cfg(feature = "workers")]
    &WORKERS_TOKEN,
    #[cfg(feature = "workers")]
    &WORKERS_TOKEN_FILE,
];

/// The documentation of the supported keys, as indented lines.
pub(crate) fn documentation() -> String {
    let rows = KEYS.iter().map(|key| {
        let default = key.default.filter(|text| !text.is_empty()).map(|text| format!(" [default: {text}]"));
        let note = default.or_else(|| key.required.map(|when| format!(" [{when}]"))).unwrap_or_default();
        [format!("{}.{}", key.sections[0], key.name), format!("{}{note}", key.doc)]
    });
    aligned(rows, &[]).lines().map(|line| format!("  {line}\n")).collect()
}

/// Whether the values of a key of this name are secret: it is such a key, or a section of free keys.
pub(crate) fn is_secret(name: &str) -> bool {
    let is_free =
        FREE_SECTIONS.iter().any(|section| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')));
    let declared = declared(name);
    is_free || KEYS.iter().any(|key| key.is_secret() && key.names().any(|known| known == declared))
}

/// Whether there may be more than one section of this name.
pub(crate) fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

/// The list, the number and what follows, of the name of a section in a list or of a key in one.
pub(crate) fn entry(name: &str) -> Option<(&'static str, usize, &str)> {
    let (list, number) = LISTS.iter().find_map(|list| Some((*list, name.strip_prefix(list)?.strip_prefix('.')?)))?;
    let (number, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let is_number = number.len() <= 2 && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((list, number.parse().ok().filter(|_| is_number)?, rest))
}

/// The name under which a key is declared: for those of a list, that of the first section.
pub(crate) fn declared(name: &str) -> Cow<'_, str> {
    entry(name).map_or(Cow::Borrowed(name), |(list, _, rest)| Cow::Owned(format!("{list}.1{rest}")))
}

/// The environment variable of a key.
pub(crate) fn variable_name(name: &str) -> String {
    format!("{}{}", environment::PREFIX, name.replace('.', "__").to_uppercase())
}
