//! `EntityDefinitions`: what the environment says of its tables and columns.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query-metadata-web-api>

mod attribute;
mod label;
mod options;

use serde_json::{Map, Value, json};

use crate::data::random::{guid_text, hash};
use crate::data::table_store::Store;
use crate::dataverse::metadata::attribute::{Attribute, attributes};
use crate::dataverse::metadata::label::label;
use crate::dataverse::metadata::options::{Options, project};
use crate::dataverse::privilege::{privilege_id, privilege_name};
use crate::http::response::{Answer, Refusal};
use crate::route::parse_key;

/// A question about tables or columns.
pub(crate) struct MetadataRequest<'a> {
    pub(crate) stores: &'a [Store],
    /// The path behind `/api/data/v9.2/`, decoded, in parts.
    pub(crate) parts: &'a [String],
    /// The query string as it was sent.
    pub(crate) query: &'a str,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: &'a str,
    /// The caller's language.
    pub(crate) language: i32,
}

/// What can be selected of a table.
const TABLE_PROPERTIES: &[&str] = &[
    "MetadataId",
    "LogicalName",
    "SchemaName",
    "EntitySetName",
    "LogicalCollectionName",
    "PrimaryIdAttribute",
    "PrimaryNameAttribute",
    "TableType",
    "ChangeTrackingEnabled",
    "OwnershipType",
    "ObjectTypeCode",
    "IsActivity",
    "IsCustomEntity",
    "DisplayName",
    "Privileges",
];

impl MetadataRequest<'_> {
    pub(crate) fn answer(&self) -> Result<Answer, Refusal> {
        let options = Options::of_query(self.query)?;
        let parts: Vec<_> = self.parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let body = match parts.as_slice() {
            ["EntityDefinitions"] => {
                let stores = self.stores.iter().filter(|store| !store.absent);
                let tables = stores.map(|store| (self.table(store), store)).filter(|(table, _)| options.keeps(table));
                let tables = tables.map(|(table, store)| self.projected(table, store, &options));
                self.collection("EntityDefinitions", tables.collect::<Result<Vec<_>, _>>()?)
            }
            [table] => {
                let store = self.store(table)?;
                let mut body = self.head("EntityDefinitions/$entity");
                body.append(&mut self.projected(self.table(store), store, &options)?);
                body
            }
            [table, "Attributes"] => {
                let store = self.store(table)?;
                let name = format!("EntityDefinitions('{}')/Attributes", store.table.name);
                self.collection(&name, self.attributes(store, None, &options)?)
            }
            [table, "Attributes", cast] => {
                let store = self.store(table)?;
                let name = format!("EntityDefinitions('{}')/Attributes/{cast}", store.table.name);
                let kind = Attribute::cast(cast).ok_or_else(|| Refusal::no_segment(cast))?;
                self.collection(&name, self.attributes(store, Some(kind), &options)?)
            }
            [table, one, rest @ ..] if one.starts_with("Attributes(") && rest.len() < 2 => {
                let store = self.store(table)?;
                let cast = rest.first().copied();
                let kind =
                    cast.map(|cast| Attribute::cast(cast).ok_or_else(|| Refusal::no_segment(cast))).transpose()?;
                let name = named(one).ok_or_else(|| Refusal::no_segment(one))?;
                let found = attributes(store, self.language).into_iter().find(|attribute| attribute.name() == name);
                let found = found.filter(|attribute| kind.is_none_or(|kind| attribute.kind == kind));
                let found = found.ok_or_else(|| {
                    let message = format!("Could not find attribute {name} for entity {}", store.table.name);
                    Refusal::new(404, "0x80040217", &message)
                })?;
                let mut body = self.head(&format!("EntityDefinitions('{}')/Attributes/$entity", store.table.name));
                body.append(&mut found.projected(kind.is_some(), &options)?);
                body
            }
            _ => return Err(Refusal::no_segment(parts.last().copied().unwrap_or_default())),
        };
        Ok(Answer::json(200, Value::Object(body).to_string()))
    }

    fn store(&self, part: &str) -> Result<&Store, Refusal> {
        let name = named(part).ok_or_else(|| Refusal::no_segment(part))?;
        let found = self.stores.iter().find(|store| {
            !store.absent && (store.table.name == name || table_id(store.table.name).eq_ignore_ascii_case(&name))
        });
        found.ok_or_else(|| {
            let message =
                format!("Could not find an entity with name {name} and id 00000000-0000-0000-0000-000000000000.");
            Refusal::new(404, "0x80040217", &message)
        })
    }

    fn head(&self, what: &str) -> Map<String, Value> {
        Map::from_iter([("@odata.context".to_owned(), format!("{}$metadata#{what}", self.root).into())])
    }

    fn collection(&self, what: &str, values: Vec<Map<String, Value>>) -> Map<String, Value> {
        let mut body = self.head(what);
        body.insert("value".to_owned(), values.into_iter().map(Value::Object).collect());
        body
    }

    /// What is said of a table, without its columns.
    fn table(&self, store: &Store) -> Map<String, Value> {
        let table = store.table;
        let owned = table.column("ownerid").is_some();
        let activity = table.key.first() == Some(&"activityid");
        let primary_name = match table.name {
            "systemuser" => "fullname",
            _ if activity => "subject",
            _ => "msdyn_name",
        };
        let read = privilege_name(table.name);
        let value = json!({
            "MetadataId": table_id(table.name),
            "LogicalName": table.name,
            "SchemaName": table.name,
            "EntitySetName": store.entity_set,
            "LogicalCollectionName": store.entity_set,
            "PrimaryIdAttribute": table.key.first(),
            "PrimaryNameAttribute": primary_name,
            "TableType": if store.elastic { "Elastic" } else { "Standard" },
            "ChangeTrackingEnabled": store.tracked,
            "OwnershipType": if owned { "UserOwned" } else { "OrganizationOwned" },
            "ObjectTypeCode": store.type_code(),
            "IsActivity": activity,
            "IsCustomEntity": table.name != "systemuser",
            "DisplayName": label(table.name, self.language),
            "Privileges": [{
                "CanBeBasic": owned, "CanBeLocal": owned, "CanBeDeep": owned, "CanBeGlobal": true,
                "Name": read, "PrivilegeId": privilege_id(table.name), "PrivilegeType": "Read",
            }],
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn projected(
        &self,
        mut table: Map<String, Value>,
        store: &Store,
        options: &Options,
    ) -> Result<Map<String, Value>, Refusal> {
        project(&mut table, options, TABLE_PROPERTIES, "EntityMetadata")?;
        for (name, nested) in &options.expand {
            match name.as_str() {
                "Attributes" => {
                    let columns = self.attributes(store, None, nested)?;
                    table.insert(name.clone(), columns.into_iter().map(Value::Object).collect());
                }
                "Keys" | "OneToManyRelationships" | "ManyToOneRelationships" | "ManyToManyRelationships" => {
                    table.insert(name.clone(), Value::Array(Vec::new()));
                }
                other => return Err(Refusal::no_property(other, "EntityMetadata")),
            }
        }
        Ok(table)
    }

    fn attributes(
        &self,
        store: &Store,
        cast: Option<&str>,
        options: &Options,
    ) -> Result<Vec<Map<String, Value>>, Refusal> {
        let all = attributes(store, self.language).into_iter();
        let all = all.filter(|attribute| cast.is_none_or(|kind| attribute.kind == kind));
        let all = all.filter(|attribute| options.keeps(&attribute.properties));
        all.map(|attribute| attribute.projected(cast.is_some(), options)).collect()
    }
}

fn table_id(name: &str) -> String {
    guid_text(hash(name.as_bytes()))
}

/// The name or id in `EntityDefinitions(LogicalName='t')`, `Attributes(LogicalName='c')` or `EntityDefinitions(<id>)`.
fn named(part: &str) -> Option<String> {
    let key = part.split_once('(')?.1.strip_suffix(')')?;
    match parse_key(key)?.as_slice() {
        [(name, value)] if name.as_deref().is_none_or(|name| matches!(name, "LogicalName" | "MetadataId")) => {
            Some(value.clone())
        }
        _ => None,
    }
}
