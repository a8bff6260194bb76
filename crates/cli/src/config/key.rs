//! The keys of the configuration: each declared once. Parsing, defaults, documentation and origins walk [`KEYS`].

use super::value::Kind;
use crate::environment;

/// A key: a name in one section, or in several of which the later ones override the first for one service.
pub(crate) struct Key {
    /// Where it may stand; a default belongs to the first.
    pub(crate) sections: &'static [&'static str],
    /// Its name within a section.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: Kind,
    /// Its value when nobody gives one, as text.
    pub(crate) default: Option<&'static str>,
    /// What it means: one or two short clauses.
    pub(crate) doc: &'static str,
}

impl Key {
    const fn new(section: &'static [&'static str], name: &'static str, kind: Kind) -> Self {
        Self { sections: section, name, kind, default: None, doc: "" }
    }

    const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    const fn doc(mut self, text: &'static str) -> Self {
        self.doc = text;
        self
    }

    /// Whether nothing but its default can be asked for.
    pub(crate) fn is_later(&self) -> bool {
        LATER_SECTIONS.contains(&self.sections[0])
    }

    /// Its whole names, such as `auth.tenant_id` and `dataverse.auth.tenant_id`.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.sections.iter().map(|section| format!("{section}.{}", self.name))
    }
}

/// Sections whose every key is passed through as it is.
pub(crate) const FREE_SECTIONS: &[&str] = &["lake.options"];

/// Sections of which nothing is built yet.
pub(crate) const LATER_SECTIONS: &[&str] = &["lake.auth", "lake.options"];

const LAKE: &[&str] = &["lake"];
const AUTH: &[&str] = &["auth", "dataverse.auth", "graph.auth", "lake.auth"];
const NETWORK: &[&str] = &["network"];
const DATAVERSE: &[&str] = &["dataverse"];
const GRAPH: &[&str] = &["graph"];

pub(crate) static LAKE_URL: Key = Key::new(LAKE, "url", Kind::Location)
    .default("./lake")
    .doc("Where the lake is: a path or file://; a relative path starts at the configuration file");
pub(crate) static REMOVED_FILES: Key = Key::new(LAKE, "removed_files", Kind::Duration)
    .doc("How long files removed from the log stay for readers of older versions; else 0s for a path, 7d for stores");
pub(crate) static ARCHIVE_RAW: Key =
    Key::new(LAKE, "archive_raw", Kind::Boolean).default("false").doc("Keep raw pages and payloads under _raw/");

pub(crate) static METHOD: Key = Key::new(AUTH, "method", Kind::OneOf(METHODS))
    .default("client-secret")
    .doc("How to sign in to Microsoft Entra ID: one of the words below");
const METHODS: &[&str] = &["client-secret", "client-certificate", "managed-identity", "workload-identity", "azure-cli"];
pub(crate) static AUTHORITY: Key =
    Key::new(AUTH, "authority", Kind::Url).default("https://login.microsoftonline.com").doc("Where to sign in");
pub(crate) static TENANT_ID: Key = Key::new(AUTH, "tenant_id", Kind::Text).doc("The directory (tenant) id");
pub(crate) static CLIENT_ID: Key = Key::new(AUTH, "client_id", Kind::Text).doc("The application (client) id");
pub(crate) static CLIENT_SECRET: Key =
    Key::new(AUTH, "client_secret", Kind::Secret).doc("The application's secret; better in a file or the environment");
pub(crate) static CLIENT_SECRET_FILE: Key =
    Key::new(AUTH, "client_secret_file", Kind::Path).doc("The file that holds the application's secret");
pub(crate) static CLIENT_CERTIFICATE_FILE: Key =
    Key::new(AUTH, "client_certificate_file", Kind::Path).doc("The application's certificate and private key, PEM");
pub(crate) static CLIENT_CERTIFICATE_PASSWORD_FILE: Key =
    Key::new(AUTH, "client_certificate_password_file", Kind::Path)
        .doc("The file that holds the private key's password");

pub(crate) static PROXY: Key =
    Key::new(NETWORK, "proxy", Kind::Url).doc("The proxy of every request; else HTTPS_PROXY and NO_PROXY");
pub(crate) static CA_FILE: Key =
    Key::new(NETWORK, "ca_file", Kind::Path).doc("Certificates to trust beside the system's, PEM");

pub(crate) static DATAVERSE_URL: Key =
    Key::new(DATAVERSE, "url", Kind::Url).doc("The environment, such as https://contoso.crm.dynamics.com");
pub(crate) static DATAVERSE_TABLES: Key =
    Key::new(DATAVERSE, "tables", Kind::List).doc("The tables to extract; else all that the program knows");
pub(crate) static DATAVERSE_SINCE: Key = Key::new(DATAVERSE, "since", Kind::Moment)
    .doc("Start of the first pass: a UTC date, an instant or an age; else the oldest row");
pub(crate) static PAGE_SIZE: Key =
    Key::new(DATAVERSE, "page_size", Kind::Whole(1, 5000)).default("5000").doc("Rows per response");
pub(crate) static PAYLOADS: Key =
    Key::new(DATAVERSE, "payloads", Kind::Boolean).default("true").doc("Fetch and decode File columns");
pub(crate) static OVERLAP: Key =
    Key::new(DATAVERSE, "overlap", Kind::Duration).default("1h").doc("Read again before the last window's end");
pub(crate) static DELETES: Key = Key::new(DATAVERSE, "deletes", Kind::OneOf(&["ignore", "mark", "remove"]))
    .default("ignore")
    .doc("Rows that are gone at the service: ignore, mark or remove; where change tracking is enabled");

pub(crate) static GRAPH_URL: Key =
    Key::new(GRAPH, "url", Kind::Url).default("https://graph.microsoft.com").doc("The Microsoft Graph endpoint");
pub(crate) static GRAPH_VERSION: Key =
    Key::new(GRAPH, "version", Kind::OneOf(&["v1.0", "beta"])).default("v1.0").doc("The API's version");
pub(crate) static GRAPH_USERS: Key = Key::new(GRAPH, "users", Kind::List)
    .doc("Whose history is read: licensed, all, group:<id>, or ids and principal names");
pub(crate) static GRAPH_EXCLUDE: Key = Key::new(GRAPH, "exclude", Kind::List)
    .default("")
    .doc("Ids, principal names or group:<id> that are never asked for");
pub(crate) static GRAPH_SINCE: Key =
    Key::new(GRAPH, "since", Kind::Moment).doc("Start of the first window: a UTC date, an instant or an age");
pub(crate) static GRAPH_RATE: Key = Key::new(GRAPH, "requests_per_second", Kind::Whole(1, 1000))
    .default("24")
    .doc("Requests per second; 30 are documented, of which 83 % are sustained");
pub(crate) static GRAPH_OVERLAP: Key =
    Key::new(GRAPH, "overlap", Kind::Duration).default("24h").doc("Read again before the last window's end");
pub(crate) static GRAPH_APP_CLASSES: Key =
    Key::new(GRAPH, "app_classes", Kind::List).default("").doc("Only these app classes, as the service spells them");
pub(crate) static GRAPH_MODEL: Key = Key::new(GRAPH, "model", Kind::Text).doc("The billing model, passed through");

/// Every key, in the order in which the documentation lists them.
pub(crate) static KEYS: &[&Key] = &[
    &LAKE_URL,
    &REMOVED_FILES,
    &ARCHIVE_RAW,
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
];

/// The documentation of the keys that can be asked for, as indented lines.
pub(crate) fn documentation() -> String {
    let mut text = String::new();
    for key in KEYS {
        if key.is_later() {
            continue;
        }
        let name = format!("{}.{}", key.sections[0], key.name);
        let default = key.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
        text.push_str(&format!("  {name:<26}{}{default}\n", key.doc));
    }
    text
}

/// The environment variable of a key.
pub(crate) fn variable_name(name: &str) -> String {
    format!("{}{}", environment::PREFIX, name.replace('.', "__").to_uppercase())
}
