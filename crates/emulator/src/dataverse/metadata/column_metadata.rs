//! Columns in the shape of the metadata service, including those that rows do not have.

use copilot_lake_tables::{ChoiceSet, Column, Type};
use serde_json::{Map, Value, json};

use crate::data::columns::{EnvironmentColumns, logical_name};
use crate::data::random::{guid_text, hash};
use crate::data::table_store::TableStore;

/// A column as the metadata describes it.
#[derive(Debug)]
pub(crate) struct ColumnMetadata {
    name: String,
    /// The type that a cast names, such as `PicklistAttributeMetadata`.
    pub(crate) kind: &'static str,
    /// `AttributeType`.
    pub(crate) code: &'static str,
    /// The attribute that this one belongs to.
    of: Option<String>,
    is_secured: bool,
    /// `None` for a column that rows do not have.
    column: Option<&'static Column>,
}

/// The properties of a column that can be selected.
pub(crate) const SELECTABLE: &[&str] =
    &["LogicalName", "AttributeType", "AttributeOf", "IsValidForRead", "IsValidODataAttribute", "IsSecured"];

/// Text columns that are memos.
const MEMOS: &[&str] = &[
    "msdyn_interactioncontext",
    "msdyn_additionalcontext",
    "msdyn_copilotsummary",
    "msdyn_copilotsummaryrequestcontext",
    "msdyn_summary",
    "activityadditionalparams",
    "msdyn_verbatim",
    "description",
];

/// The party lists of activities, which are rows of another table.
const PARTIES: &[&str] = &[
    "bcc",
    "cc",
    "customers",
    "from",
    "optionalattendees",
    "organizer",
    "partners",
    "requiredattendees",
    "resources",
    "to",
];

impl ColumnMetadata {
    /// The selectable properties and the id, which is always sent.
    pub(crate) fn properties(&self, table: &str) -> Map<String, Value> {
        let Value::Object(properties) = json!({
            "MetadataId": guid_text(hash(format!("{table}.{}", self.name).as_bytes())),
            "LogicalName": self.name,
            "AttributeType": self.code,
            "AttributeOf": self.of,
            "IsValidForRead": true,
            "IsValidODataAttribute": self.column.is_some(),
            "IsSecured": self.is_secured,
        }) else {
            return Map::new();
        };
        properties
    }

    /// The column and its choices.
    pub(crate) fn choice(&self) -> Option<(&'static Column, &'static ChoiceSet)> {
        match self.column?.ty {
            Type::Choice(set) => Some((self.column?, set)),
            _ => None,
        }
    }
}

/// Every column of a table.
pub(crate) fn attributes(store: &TableStore) -> Vec<ColumnMetadata> {
    let columns = store.view().columns;
    let shown = columns.all().iter().filter(|column| !column.wire.contains('@'));
    let mut all: Vec<_> = shown.clone().map(|column| of_column(store, &columns, column)).collect();
    let mut hidden = |name: String, kind, code, of: Option<&str>| {
        if all.iter().all(|attribute| attribute.name != name) {
            all.push(ColumnMetadata { name, kind, code, of: of.map(str::to_owned), is_secured: false, column: None });
        }
    };
    for column in shown {
        let name = logical_name(column);
        match column.ty {
            Type::Lookup(_) if matches!(name, "owninguser" | "owningteam") => {}
            Type::Lookup(targets) => {
                hidden(format!("{name}name"), "StringAttributeMetadata", "String", Some(name));
                if targets.contains(&"systemuser") || targets.contains(&"contact") {
                    hidden(format!("{name}yominame"), "StringAttributeMetadata", "String", Some(name));
                }
                // The table name beside a lookup with several targets.
                let of_table = match name {
                    "ownerid" => "owneridtype",
                    "regardingobjectid" => "regardingobjecttypecode",
                    "msdyn_conversationinsighttarget" => "msdyn_conversationinsighttargetidtype",
                    _ => continue,
                };
                hidden(of_table.to_owned(), "EntityNameAttributeMetadata", "EntityName", None);
            }
            Type::Choice(_) | Type::Boolean => {
                hidden(format!("{name}name"), "AttributeMetadata", "Virtual", Some(name));
            }
            _ => {}
        }
    }
    if store.table.key.first() == Some(&"activityid") {
        for name in PARTIES {
            hidden((*name).to_owned(), "LookupAttributeMetadata", "PartyList", None);
        }
    }
    all
}

/// A column that rows have.
fn of_column(store: &TableStore, columns: &EnvironmentColumns, column: &'static Column) -> ColumnMetadata {
    let name = logical_name(column);
    let (kind, code) = match column.ty {
        Type::Guid => ("UniqueIdentifierAttributeMetadata", "Uniqueidentifier"),
        Type::Text if name == "activitytypecode" => ("EntityNameAttributeMetadata", "EntityName"),
        Type::Text if MEMOS.contains(&name) => ("MemoAttributeMetadata", "Memo"),
        Type::Text => ("StringAttributeMetadata", "String"),
        Type::Choice(_) if name == "statecode" => ("StateAttributeMetadata", "State"),
        Type::Choice(_) if name == "statuscode" => ("StatusAttributeMetadata", "Status"),
        Type::Choice(_) => ("PicklistAttributeMetadata", "Picklist"),
        Type::Lookup(_) if name == "ownerid" => ("LookupAttributeMetadata", "Owner"),
        Type::Lookup(_) => ("LookupAttributeMetadata", "Lookup"),
        Type::Instant | Type::Date => ("DateTimeAttributeMetadata", "DateTime"),
        Type::Int32 => ("IntegerAttributeMetadata", "Integer"),
        Type::Int64 => ("BigIntAttributeMetadata", "BigInt"),
        Type::Decimal => ("DecimalAttributeMetadata", "Decimal"),
        Type::Boolean => ("BooleanAttributeMetadata", "Boolean"),
        Type::File => ("FileAttributeMetadata", "Virtual"),
    };
    let file = name.strip_suffix("_name").filter(|file| columns.all().iter().any(|of| of.name == *file));
    ColumnMetadata {
        name: name.to_owned(),
        kind,
        code,
        of: file.map(str::to_owned),
        is_secured: store.is_secured(column),
        column: Some(column),
    }
}
