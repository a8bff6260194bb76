//! The environment: which tables and columns it has, discovered by one request.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{Column, Table};
use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::request;
use super::selection::{Selection, property_of};
use super::table_metadata::{AttributeMetadata, TableMetadata, attribute_of};
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::Request;

/// Bytes that the names of unknown properties may take in a request: no client sends a URL of 64 KiB, and proxies refuse
/// shorter ones.
const MAX_UNKNOWN_BYTES: usize = 32 << 10;

/// What an environment has of the tables in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    tables: BTreeMap<&'static str, Presence>,
    assumed: bool,
}

/// A table as it exists in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The columns that can be requested.
    pub selection: Selection,
    /// Columns of the definition that the environment lacks, by their names in the lake.
    pub lacks: Vec<&'static str>,
    /// Properties that the definition does not know and that are requested as well, sorted.
    pub unknown: Vec<String>,
    /// Change tracking is on, so deletions can be read.
    pub tracks_changes: bool,
    /// The File columns with column security.
    pub secured: Vec<&'static str>,
}

impl Environment {
    /// The table as it exists in the environment; `None` if it does not, or was not asked about.
    pub fn table(&self, name: &str) -> Option<&Presence> {
        self.tables.get(name)
    }

    /// The metadata could not be read, so everything in the definitions is assumed to exist.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// An environment whose metadata says this of its tables.
    pub const fn new(tables: BTreeMap<&'static str, Presence>) -> Self {
        Self { tables, assumed: false }
    }

    /// An environment whose metadata could not be read: it is taken to have all that the definitions say.
    pub fn assume(tables: &[&'static Table]) -> Self {
        let tables = tables.iter().map(|table| (table.name, Presence::assume(table))).collect();
        Self { tables, assumed: true }
    }

    /// `None` if a table's attributes lack its key: such a response is worthless.
    fn from_metadata(tables: &[&'static Table], definitions: &[TableMetadata]) -> Option<Self> {
        let mut found = BTreeMap::new();
        for table in tables {
            if let Some(definition) = definitions.iter().find(|definition| definition.logical_name == table.name) {
                found.insert(table.name, Presence::from_metadata(table, definition)?);
            }
        }
        Some(Self { tables: found, assumed: false })
    }
}

impl Presence {
    fn assume(table: &'static Table) -> Self {
        let (lacks, unknown, secured) = (Vec::new(), Vec::new(), Vec::new());
        Self { selection: Selection::all(table), lacks, unknown, tracks_changes: false, secured }
    }

    fn from_metadata(table: &'static Table, definition: &TableMetadata) -> Option<Self> {
        let readable = definition.attributes.iter().flatten().filter(|attribute| attribute.is_readable());
        let readable: BTreeMap<&str, &AttributeMetadata> =
            readable.map(|attribute| (attribute.logical_name.as_str(), attribute)).collect();
        let has = |column: &Column| {
            // The name of a File comes with the File, however it is listed.
            let file = table.files().find(|file| column.name.strip_suffix("_name") == Some(file.name));
            let attribute = file.map_or(attribute_of(property_of(column.wire)), |file| file.wire);
            readable.contains_key(attribute)
        };
        let (present, lacking): (Vec<_>, Vec<_>) = table.columns.iter().partition(|column| has(column));
        if lacking.iter().any(|column| column.required) {
            return None;
        }
        let known: BTreeSet<&str> = table.columns.iter().map(|column| attribute_of(property_of(column.wire))).collect();
        // User tables have hundreds of columns: only those in the definition are requested.
        let unknown = readable.values().filter(|attribute| table.is_mirror() && attribute.is_own_property());
        let unknown = unknown.filter(|attribute| !known.contains(attribute.logical_name.as_str()));
        let mut unknown: Vec<_> =
            unknown.map(|attribute| attribute.property()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut bytes = 0;
        let fitting = unknown.iter().take_while(|property| {
            bytes += property.len() + 1;
            bytes <= MAX_UNKNOWN_BYTES
        });
        let fitting = fitting.count();
        if fitting < unknown.len() {
            let left_out = unknown.len() - fitting;
            warn!(table = table.name, left_out, "the table has more columns than a URL can name: some are left out");
            unknown.truncate(fitting);
        }
        let wires = present.iter().map(|column| column.wire.to_owned()).chain(unknown.iter().cloned());
        let secured = table
            .files()
            .filter(|file| readable.get(file.wire).is_some_and(|attribute| attribute.is_secured == Some(true)));
        Some(Self {
            selection: Selection::new(wires),
            lacks: lacking.iter().map(|column| column.name).collect(),
            unknown,
            tracks_changes: definition.change_tracking_enabled == Some(true),
            secured: secured.map(|file| file.name).collect(),
        })
    }
}

/// Requests the metadata of all tables at once. If the service refuses, the definitions are assumed to apply.
pub(crate) async fn discover(client: &Client, api: &Url, tables: &[&'static Table]) -> Result<Environment, Error> {
    #[derive(Deserialize)]
    struct MetadataResponse {
        value: Vec<TableMetadata>,
    }
    let request = Request::json(request::definitions_url(api, tables)?);
    let response = client.fetch_json::<MetadataResponse>(&request, "the response is not the metadata of tables").await;
    let found = response.and_then(|definitions| {
        Environment::from_metadata(tables, &definitions.value).ok_or_else(|| {
            let reason = "the metadata of a table lacks its key".to_owned();
            Error::BadPage { reason, call: request.call_after(1) }
        })
    });
    match found {
        Err(error) if error.is_refusal() => {
            warn!(%error, "the environment's metadata cannot be read: every known table and column is requested");
            Ok(Environment::assume(tables))
        }
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_EVENT, COPILOT_TRANSCRIPT, SYSTEM_USER, Type};

    /// The metadata of a table that has exactly what its definition knows, and what is added to it.
    fn definition(table: &'static Table, more: &str) -> TableMetadata {
        let mut attributes = Vec::new();
        for column in table.columns.iter().filter(|column| !column.wire.contains('@')) {
            let (ty, metadata) = match column.ty {
                Type::Lookup(_) => ("Lookup", "LookupAttributeMetadata"),
                Type::File => ("Virtual", "FileAttributeMetadata"),
                _ => ("String", "StringAttributeMetadata"),
            };
            let name = attribute_of(column.wire);
            attributes.push(format!(
                r##"{{"@odata.type":"#Microsoft.Dynamics.CRM.{metadata}","LogicalName":"{name}","AttributeType":"{ty}"}}"##
            ));
        }
        let attributes = attributes.join(",");
        let text = format!(r#"{{"LogicalName":"{}","Attributes":[{attributes}{more}]}}"#, table.name);
        serde_json::from_str(&text).unwrap()
    }

    fn attributes(definition: &mut TableMetadata) -> &mut Vec<AttributeMetadata> {
        definition.attributes.as_mut().unwrap()
    }

    fn presence(table: &'static Table, definition: &TableMetadata) -> Presence {
        Presence::from_metadata(table, definition).unwrap()
    }

    #[test]
    fn an_environment_with_all_that_is_known_is_asked_for_all_of_it() {
        for table in [&COPILOT_EVENT, &COPILOT_TRANSCRIPT, &CONVERSATION_INSIGHT, &SYSTEM_USER] {
            assert_eq!(presence(table, &definition(table, "")), Presence::assume(table), "{}", table.name);
        }
    }

    #[test]
    fn what_the_environment_lacks_is_not_asked_for() {
        let mut definition = definition(&COPILOT_TRANSCRIPT, "");
        attributes(&mut definition).retain(|attribute| attribute.logical_name != "regardingobjectid");
        attributes(&mut definition).iter_mut().find(|a| a.logical_name == "subject").unwrap().is_valid_for_read =
            Some(false);
        let presence = presence(&COPILOT_TRANSCRIPT, &definition);
        assert_eq!(presence.lacks, ["regardingobjectid", "regardingobjectid_table", "subject"]);
        assert!(presence.selection.annotations().is_empty() && !presence.selection.contains("subject"));
    }

    #[test]
    fn a_files_name_comes_with_the_file() {
        let mut definition = definition(&COPILOT_EVENT, "");
        attributes(&mut definition).retain(|attribute| attribute.logical_name != "msdyn_interactiondata_name");
        assert!(presence(&COPILOT_EVENT, &definition).lacks.is_empty());
        attributes(&mut definition).retain(|attribute| attribute.logical_name != "msdyn_interactiondata");
        let presence = presence(&COPILOT_EVENT, &definition);
        assert_eq!(presence.lacks, ["msdyn_interactiondata", "msdyn_interactiondata_name"]);
    }

    #[test]
    fn unknown_columns_are_asked_for_after_the_known_ones() {
        let more = r##",{"LogicalName":"zz_note","AttributeType":"Memo"},{"LogicalName":"zz_case","AttributeType":"Lookup"},
            {"LogicalName":"zz_casename","AttributeType":"String","AttributeOf":"zz_case"},
            {"LogicalName":"owneridtype","AttributeType":"EntityName"},{"LogicalName":"to","AttributeType":"PartyList"},
            {"@odata.type":"#Microsoft.Dynamics.CRM.FileAttributeMetadata","LogicalName":"zz_file","AttributeType":"Virtual"}"##;
        let presence = presence(&COPILOT_EVENT, &definition(&COPILOT_EVENT, more));
        assert_eq!(presence.unknown, ["_zz_case_value", "zz_file", "zz_note"]);
        let text = presence.selection.text();
        assert_eq!(text, format!("{},_zz_case_value,zz_file,zz_note", Selection::all(&COPILOT_EVENT).text()));
        let people = Presence::from_metadata(&SYSTEM_USER, &definition(&SYSTEM_USER, more)).unwrap();
        assert_eq!(people, Presence::assume(&SYSTEM_USER), "of people nothing unknown");
    }

    #[test]
    fn tracking_and_secured_files_are_told() {
        let mut definition = definition(&CONVERSATION_INSIGHT, "");
        definition.change_tracking_enabled = Some(true);
        attributes(&mut definition).iter_mut().find(|a| a.logical_name == "msdyn_insights").unwrap().is_secured =
            Some(true);
        let presence = presence(&CONVERSATION_INSIGHT, &definition);
        assert!(presence.tracks_changes);
        assert_eq!(presence.secured, ["msdyn_insights"]);
    }

    #[test]
    fn metadata_may_nest_as_deep_as_it_likes() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let more = format!(r#",{{"LogicalName":"zz_deep","AttributeType":"String","More":{deep}}}"#);
        assert_eq!(presence(&COPILOT_EVENT, &definition(&COPILOT_EVENT, &more)).unknown, ["zz_deep"]);
    }

    #[test]
    fn metadata_without_the_key_says_nothing() {
        let mut definition = definition(&COPILOT_EVENT, "");
        definition.attributes = None;
        assert_eq!(Environment::from_metadata(&[&COPILOT_EVENT], &[definition]), None);
    }
}
