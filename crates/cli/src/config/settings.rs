//! The configuration as the settings of the crates that do the work.

use anyhow::Result;
use copilot_lake_extractor::{DataverseSettings, GraphSettings};
use copilot_lake_pipeline::{DataverseJob, Deletes, GraphJob, ServiceJob, UserSelector};
use copilot_lake_tables::{Service, Source, Table, dataverse_tables, table};
use copilot_lake_writer::{FileRights, LakeOptions, StoreOptions};

use super::effective::Config;
use super::key::{
    ARCHIVE_RAW, DATAVERSE_SINCE, DATAVERSE_TABLES, DATAVERSE_URL, DELETES, GRAPH_APP_CLASSES, GRAPH_EXCLUDE,
    GRAPH_MODEL, GRAPH_OVERLAP, GRAPH_RATE, GRAPH_SINCE, GRAPH_URL, GRAPH_USERS, GRAPH_VERSION, LAKE_URL, OVERLAP,
    PAGE_SIZE, PAYLOADS, REMOVED_FILES, SHARED, VIEWS,
};
use super::network::network;
use super::required::{duration, list, missing, moment, text, url};
use super::secrecy;
use super::setting::{Setting, SettingOrigin};
use super::value::ConfigValue;
use super::{sign_in, store};
use crate::nearest::nearest;
use crate::problem::{Problem, usage};

/// The sections of the sign-in to each service.
const DATAVERSE_AUTH: &str = "dataverse.auth";
const GRAPH_AUTH: &str = "graph.auth";

/// The lists of more identities for each service.
const DATAVERSE_IDENTITIES: &str = "dataverse.identity";
const GRAPH_IDENTITIES: &str = "graph.identity";

/// Where the lake is, and how it is opened.
pub(crate) fn lake(config: &Config) -> Result<(String, LakeOptions)> {
    let url = text(config, "lake", &LAKE_URL)?;
    let mut options = LakeOptions { rights: file_rights(config), ..LakeOptions::default() };
    if url.contains("://") {
        options.store = store::options(config)?;
    }
    if let Some(Setting { value: ConfigValue::Duration(removed_files), .. }) = config.setting(&REMOVED_FILES) {
        options.removed_files = Some(removed_files);
    }
    Ok((url, options))
}

/// How the stores of these URLs are reached, as that of the lake is; nothing where all are local paths.
pub(crate) fn stores<'u>(config: &Config, mut urls: impl Iterator<Item = &'u str>) -> Result<StoreOptions> {
    if urls.any(|url| url.contains("://")) { store::options(config) } else { Ok(StoreOptions::default()) }
}

/// Who may read what the program writes.
pub(crate) fn file_rights(config: &Config) -> FileRights {
    match config.setting(&SHARED) {
        Some(Setting { value: ConfigValue::Boolean(true), .. }) => FileRights::Shared,
        _ => FileRights::Private,
    }
}

/// What to read from a service, limited to these tables if any are named; `None` if it is not configured.
pub(crate) fn job(service: Service, config: &Config, only: &[String]) -> Result<Option<ServiceJob>> {
    Ok(match service {
        Service::Dataverse => dataverse(config, only)?.map(ServiceJob::Dataverse),
        Service::Graph => graph(config)?.map(ServiceJob::Graph),
    })
}

/// What to read from Dataverse.
fn dataverse(config: &Config, only: &[String]) -> Result<Option<DataverseJob>> {
    if !config.mentions("dataverse") {
        return Ok(None);
    }
    let url = url(config, "dataverse", &DATAVERSE_URL)?;
    let auth = sign_in::auth(config, DATAVERSE_AUTH)?;
    let connection = DataverseSettings {
        url,
        more_identities: sign_in::more(config, DATAVERSE_IDENTITIES, &auth)?,
        auth,
        network: network(config)?,
        page_size: match config.setting(&PAGE_SIZE) {
            Some(Setting { value: ConfigValue::Integer(rows), .. }) => u32::try_from(rows)?,
            _ => return Err(missing("dataverse", &PAGE_SIZE).into()),
        },
    };
    let (since, overlap) = (moment(config, &DATAVERSE_SINCE).ok(), duration(config, &OVERLAP)?);
    let deletes = match config.setting(&DELETES) {
        Some(Setting { value: ConfigValue::Text(word), .. }) => Deletes::parse(&word).unwrap_or_default(),
        _ => Deletes::default(),
    };
    Ok(Some(DataverseJob {
        connection,
        tables: tables(config, only)?,
        since,
        payloads: payloads(config),
        overlap,
        deletes,
    }))
}

/// What to read from Microsoft Graph.
fn graph(config: &Config) -> Result<Option<GraphJob>> {
    if !config.mentions("graph") {
        return Ok(None);
    }
    let auth = sign_in::auth(config, GRAPH_AUTH)?;
    let connection = GraphSettings {
        url: url(config, "graph", &GRAPH_URL)?,
        version: text(config, "graph", &GRAPH_VERSION)?,
        more_identities: sign_in::more(config, GRAPH_IDENTITIES, &auth)?,
        auth,
        network: network(config)?,
        requests_per_second: match config.setting(&GRAPH_RATE) {
            Some(Setting { value: ConfigValue::Integer(rate), .. }) => rate as f64,
            _ => return Err(missing("graph", &GRAPH_RATE).into()),
        },
        model: text(config, "graph", &GRAPH_MODEL).ok(),
    };
    let users: Vec<UserSelector> = list(config, &GRAPH_USERS).iter().map(|text| UserSelector::parse(text)).collect();
    if users.is_empty() {
        return Err(usage("`graph.users` is not set: whose history is to be read")
            .hint("say \"licensed\", \"all\", \"group:<id>\", or list ids and principal names")
            .into());
    }
    let exclude: Vec<UserSelector> =
        list(config, &GRAPH_EXCLUDE).iter().map(|text| UserSelector::parse(text)).collect();
    if exclude.iter().any(|who| matches!(who, UserSelector::All | UserSelector::Licensed)) {
        return Err(usage("`graph.exclude` names ids, principal names or group:<id>, not `all` or `licensed`")
            .hint("leave out the section [graph] when nobody's history is to be read")
            .into());
    }
    Ok(Some(GraphJob {
        connection,
        users,
        exclude,
        since: moment(config, &GRAPH_SINCE)?,
        overlap: duration(config, &GRAPH_OVERLAP)?,
        app_classes: list(config, &GRAPH_APP_CLASSES),
    }))
}

/// Whether payloads are fetched.
pub(crate) fn payloads(config: &Config) -> bool {
    !matches!(config.setting(&PAYLOADS), Some(Setting { value: ConfigValue::Boolean(false), .. }))
}

/// Whether raw pages and payloads are kept.
pub(crate) fn archive_raw(config: &Config) -> bool {
    matches!(config.setting(&ARCHIVE_RAW), Some(Setting { value: ConfigValue::Boolean(true), .. }))
}

/// Whether runs make the materialized views.
pub(crate) fn views(config: &Config) -> bool {
    !matches!(config.setting(&VIEWS), Some(Setting { value: ConfigValue::Boolean(false), .. }))
}

fn tables(config: &Config, only: &[String]) -> Result<Vec<&'static Table>> {
    let (names, origin) = match config.setting(&DATAVERSE_TABLES) {
        _ if !only.is_empty() => {
            let of_dataverse = only.iter().filter(|name| service_of(name) == Service::Dataverse);
            (of_dataverse.cloned().collect(), SettingOrigin::Flag("--table"))
        }
        Some(Setting { value: ConfigValue::List(names), origin }) => (names, origin),
        _ => return Ok(dataverse_tables().collect()),
    };
    let mut tables: Vec<&'static Table> = Vec::new();
    for name in &names {
        let found = dataverse_table(name, &origin)?;
        if !tables.iter().any(|table| table.name == found.name) {
            tables.push(found);
        }
    }
    if tables.is_empty() {
        return Err(usage(format!("`dataverse.tables` names no table, {origin}"))
            .hint("remove it to extract all tables")
            .into());
    }
    Ok(tables)
}

/// The service of a table that was requested by name; for any other name Dataverse, whose job reports what is wrong.
pub(crate) fn service_of(name: &str) -> Service {
    let requested = table(name).filter(|table| table.is_sliced());
    requested.and_then(Table::service).unwrap_or(Service::Dataverse)
}

/// The Dataverse table of this name.
fn dataverse_table(name: &str, origin: &SettingOrigin) -> Result<&'static Table, Problem> {
    match table(name) {
        Some(table) if matches!(table.source, Source::Dataverse { .. }) => Ok(table),
        Some(table) if table.service() == Some(Service::Graph) => {
            Err(usage(format!("`{name}` is not a Dataverse table, {origin}"))
                .hint("`--table ai_interaction` reads histories from Graph; the section [graph] says whose"))
        }
        Some(_) => Err(usage(format!("`{name}` comes with other tables and cannot be requested alone, {origin}"))
            .hint("name the tables of the service; `copilot-lake tables` lists them")),
        None => {
            let near = nearest(name, dataverse_tables().map(|table| table.name)).unwrap_or_default();
            Err(usage(format!("unknown table{}, {origin}", secrecy::quoted(name)))
                .hint(format!("the nearest known one is `{near}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(set: &[&str]) -> Config {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        Config::load(Sources { set, ..Sources::default() }).unwrap()
    }

    fn message(set: &[&str], only: &[&str]) -> String {
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        crate::exit::problem(&dataverse(&config(set), &only).unwrap_err()).message
    }

    const FULL: [&str; 4] =
        ["dataverse.url=https://x.example", "auth.tenant_id=t", "auth.client_id=c", "auth.client_secret=s3cret"];

    #[test]
    fn a_missing_section_is_not_extracted_and_a_missing_key_is_named() {
        assert!(dataverse(&config(&["auth.tenant_id=t"]), &[]).unwrap().is_none());
        assert_eq!(message(&FULL[..3], &[]), "`auth.client_secret` is not set");
        assert_eq!(message(&[FULL[0], FULL[1]], &[]), "`auth.client_id` is not set: the application (client) id");
        assert!(message(&["dataverse.page_size=1", FULL[1]], &[]).starts_with("`dataverse.url` is not set"));
    }

    #[test]
    fn a_ca_file_in_utf_16_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corp.pem");
        let pem = "\u{feff}-----BEGIN CERTIFICATE-----\n";
        std::fs::write(&path, pem.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
        let ca_file = format!("network.ca_file={}", path.display());
        let set: Vec<&str> = FULL.iter().copied().chain([ca_file.as_str()]).collect();
        let problem = crate::exit::problem(&dataverse(&config(&set), &[]).unwrap_err());
        let named = format!("the file of `network.ca_file`, `{}`, is UTF-16, --set", path.display());
        assert_eq!(problem.message, named);
        std::fs::write(&path, pem).unwrap();
        let marked = dataverse(&config(&set), &[]).unwrap().unwrap();
        assert_eq!(marked.connection.network.ca.unwrap(), pem.as_bytes(), "the certificates are looked for behind it");
    }

    #[test]
    fn a_job_has_what_was_said_and_the_defaults() {
        let job = dataverse(&config(&FULL), &[]).unwrap().unwrap();
        assert_eq!(job.connection.page_size, 5000);
        assert_eq!(job.overlap.as_secs(), 3600);
        assert!(job.payloads && job.since.is_none());
        assert_eq!(job.tables.len(), dataverse_tables().count());
        assert!(!format!("{job:?}").contains("s3cret"));
    }

    #[test]
    fn what_runs_make_besides_rows_is_what_was_said_or_the_default() {
        let made = |set: &[&str]| {
            let config = config(set);
            [payloads(&config), views(&config), archive_raw(&config)]
        };
        assert_eq!(made(&[]), [true, true, false]);
        assert_eq!(made(&["lake.views=false"]), [true, false, false]);
        assert_eq!(
            made(&["lake.views=true", "dataverse.payloads=false", "lake.archive_raw=true"]),
            [false, true, true]
        );
    }

    #[test]
    fn graph_says_whose_history_and_since_when() {
        let with = |set: &[&str]| {
            let all: Vec<&str> = FULL[1..].iter().chain(set).copied().collect();
            graph(&config(&all))
        };
        let message = |set: &[&str]| crate::exit::problem(&with(set).unwrap_err()).message;
        assert!(with(&[]).unwrap().is_none());
        assert_eq!(message(&["graph.since=2025-01-01"]), "`graph.users` is not set: whose history is to be read");
        assert!(message(&["graph.users=all"]).starts_with("`graph.since` is not set"));
        let exclude = ["graph.users=all", "graph.since=1d", "graph.exclude=licensed"];
        assert!(message(&exclude).starts_with("`graph.exclude` names"));
        let users = "graph.users=group:11111111-1111-1111-1111-111111111111, Bob@contoso.example";
        let job = with(&[users, "graph.since=2025-01-01", "graph.model=B"]).unwrap().unwrap();
        let group = UserSelector::Group("11111111-1111-1111-1111-111111111111".to_owned());
        assert_eq!(job.users, [group, UserSelector::User("Bob@contoso.example".to_owned())]);
        assert_eq!((job.connection.requests_per_second, job.overlap.as_secs()), (24.0, 86_400));
        assert_eq!(job.connection.model.as_deref(), Some("B"));
        assert_eq!(with(&["graph.users=licensed", "graph.since=1d"]).unwrap().unwrap().users, [UserSelector::Licensed]);
    }

    #[test]
    fn tables_are_known_or_named() {
        assert_eq!(message(&FULL, &["msdyn_copilotevents"]), "unknown table `msdyn_copilotevents`, --table");
        assert!(message(&FULL, &["payload"]).starts_with("`payload` comes with other tables"));
    }
}
