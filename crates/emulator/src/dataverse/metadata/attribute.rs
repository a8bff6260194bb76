//! Columns in the shape of the metadata service, those among them that no row shows.

use copilot_lake_tables::{Column, Type};
use serde_json::{Map, Value, json};

use crate::data::columns::Columns;
use crate::data::random::{guid_text, hash};
use crate::data::table_store::Store;
use crate::dataverse::metadata::label::{boolean_set, label, option_set};
use crate::dataverse::metadata::options::{Options, project};
use crate::dataverse::projection::logical_name;
use crate::http::response::Refusal;

/// A column as metadata has it.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The type that a cast names, such as `PicklistAttributeMetadata`.
    pub(super) kind: &'static str,
    pub(super) properties: Map<String, Value>,
    /// What can be expanded.
    sets: Vec<(&'static str, Value)>,
}

/// What can be selected of every column.
const PROPERTIES: &[&str] = &[
    "MetadataId",
    "LogicalName",
    "SchemaName",
    "EntityLogicalName",
    "AttributeType",
    "AttributeTypeName",
    "AttributeOf",
    "ColumnNumber",
    "DisplayName",
    "IsPrimaryId",
    "IsPrimaryName",
    "IsCustomAttribute",
    "IsValidForRead",
    "IsRetrievable",
    "IsValidODataAttribute",
    "IsSecured",
    "IsLogical",
];

/// Types that a cast can name, with what can be selected of them beside [`PROPERTIES`].
const KINDS: &[(&str, &[&str])] = &[
    ("AttributeMetadata", &[]),
    ("UniqueIdentifierAttributeMetadata", &[]),
    ("StringAttributeMetadata", &["MaxLength", "Format"]),
    ("MemoAttributeMetadata", &["MaxLength", "Format"]),
    ("EntityNameAttributeMetadata", &[]),
    ("PicklistAttributeMetadata", &["DefaultFormValue"]),
    ("StateAttributeMetadata", &["DefaultFormValue"]),
    ("StatusAttributeMetadata", &["DefaultFormValue"]),
    ("BooleanAttributeMetadata", &["DefaultValue"]),
    ("LookupAttributeMetadata", &["Targets"]),
    ("DateTimeAttributeMetadata", &["Format"]),
    ("IntegerAttributeMetadata", &[]),
    ("BigIntAttributeMetadata", &[]),
    ("DecimalAttributeMetadata", &["Precision"]),
    ("FileAttributeMetadata", &["MaxSizeInKB"]),
];

/// Text columns that are memos, with their longest text.
const MEMOS: &[(&str, u32)] = &[
    ("msdyn_interactioncontext", 1_048_576),
    ("msdyn_additionalcontext", 1_048_576),
    ("msdyn_copilotsummary", 102_400),
    ("msdyn_copilotsummaryrequestcontext", 102_400),
    ("msdyn_summary", 102_400),
    ("activityadditionalparams", 8_192),
    ("msdyn_verbatim", 2_000),
    ("description", 2_000),
];

/// The party lists of activities: they are rows of another table.
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

impl Attribute {
    /// The type of `Microsoft.Dynamics.CRM.PicklistAttributeMetadata`.
    pub(super) fn cast(segment: &str) -> Option<&'static str> {
        let name = segment.strip_prefix("Microsoft.Dynamics.CRM.")?;
        KINDS.iter().map(|(kind, _)| *kind).find(|kind| *kind == name)
    }

    pub(super) fn name(&self) -> &str {
        self.properties.get("LogicalName").and_then(Value::as_str).unwrap_or_default()
    }

    /// What was asked of it; sets can be expanded behind a cast only.
    pub(super) fn projected(self, cast: bool, options: &Options) -> Result<Map<String, Value>, Refusal> {
        let Self { kind, mut properties, sets } = self;
        let of_kind = KINDS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, own)| *own);
        let (type_name, own) = if cast { (kind, of_kind) } else { ("AttributeMetadata", &[][..]) };
        let known: Vec<_> = PROPERTIES.iter().chain(own).copied().collect();
        project(&mut properties, options, &known, type_name)?;
        let mut all = Map::new();
        if !cast {
            all.insert("@odata.type".to_owned(), format!("#Microsoft.Dynamics.CRM.{kind}").into());
        }
        all.append(&mut properties);
        for (name, nested) in &options.expand {
            let set = sets.iter().find(|(of, _)| cast && of == name).map(|(_, set)| set.clone());
            let mut set = set.ok_or_else(|| Refusal::no_property(name, type_name))?;
            if let (Value::Object(set), false) = (&mut set, nested.select.is_empty()) {
                set.retain(|name, _| name == "MetadataId" || nested.select.iter().any(|of| of == name));
            }
            all.insert(name.clone(), set);
        }
        Ok(all)
    }
}

/// Every column of a table.
pub(super) fn attributes(store: &Store, language: i32) -> Vec<Attribute> {
    let columns = store.view().columns;
    let shown = columns.all().iter().filter(|column| !column.wire.contains('@'));
    let mut all: Vec<_> = shown.clone().map(|column| of_column(store, &columns, column, language)).collect();
    let mut hidden = |name: String, kind, code, of: Option<&str>| {
        if all.iter().all(|attribute: &Attribute| attribute.name() != name) {
            all.push(attribute(store, &name, kind, code, language, |properties| {
                properties.insert("AttributeOf".to_owned(), of.into());
                properties.insert("IsValidODataAttribute".to_owned(), false.into());
            }));
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
                // The table of a lookup that leads to several.
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

/// A column that rows show.
fn of_column(store: &Store, columns: &Columns, column: &'static Column, language: i32) -> Attribute {
    let name = logical_name(column);
    let memo = MEMOS.iter().find(|(memo, _)| *memo == name);
    let (kind, code) = match column.ty {
        Type::Guid => ("UniqueIdentifierAttributeMetadata", "Uniqueidentifier"),
        Type::Text if name == "activitytypecode" => ("EntityNameAttributeMetadata", "EntityName"),
        Type::Text if memo.is_some() => ("MemoAttributeMetadata", "Memo"),
        Type::Text => ("StringAttributeMetadata", "String"),
        Type::Choice(_) if name == "statecode" => ("StateAttributeMetadata", "State"),
        Type::Choice(_) if name == "statuscode" => ("StatusAttributeMetadata", "Status"),
        Type::Choice(_) => ("PicklistAttributeMetadata", "Picklist"),
        Type::Lookup(_) if name == "ownerid" => ("LookupAttributeMetadata", "Owner"),
        Type::Lookup(_) => ("LookupAttributeMetadata", "Lookup"),
        Type::Instant => ("DateTimeAttributeMetadata", "DateTime"),
        Type::Int32 => ("IntegerAttributeMetadata", "Integer"),
        Type::Int64 => ("BigIntAttributeMetadata", "BigInt"),
        Type::Decimal => ("DecimalAttributeMetadata", "Decimal"),
        Type::Boolean => ("BooleanAttributeMetadata", "Boolean"),
        Type::File => ("FileAttributeMetadata", "Virtual"),
    };
    let mut made = attribute(store, name, kind, code, language, |properties| {
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        match column.ty {
            Type::Lookup(targets) => set("Targets", json!(targets)),
            Type::File => set("MaxSizeInKB", 32_768.into()),
            Type::Decimal => set("Precision", 2.into()),
            Type::Instant => set("Format", "DateAndTime".into()),
            Type::Text => set("MaxLength", memo.map_or(100, |(_, length)| *length).into()),
            _ => None,
        };
        let file = name.strip_suffix("_name").filter(|file| columns.all().iter().any(|of| of.name == *file));
        set("AttributeOf", file.into());
        set("IsSecured", store.is_secured(column).into());
    });
    if let Type::Choice(set) = column.ty {
        // The newer store's choices are shared by the whole environment.
        let is_global = store.elastic && !columns.is_added(column);
        let labels = |code| columns.labels(column, code);
        let options = option_set((set.name, is_global, code), &columns.options(column), labels, language);
        let global = if is_global { options.clone() } else { Value::Null };
        made.sets = vec![("OptionSet", options), ("GlobalOptionSet", global)];
    } else if matches!(column.ty, Type::Boolean) {
        made.sets = vec![("OptionSet", boolean_set(name, language)), ("GlobalOptionSet", Value::Null)];
    }
    made
}

/// A column with what all have, and with what `more` says.
fn attribute(
    store: &Store,
    name: &str,
    kind: &'static str,
    code: &str,
    language: i32,
    more: impl FnOnce(&mut Map<String, Value>),
) -> Attribute {
    let table = store.table.name;
    let type_name = match kind {
        "FileAttributeMetadata" => "FileType".to_owned(),
        _ => format!("{code}Type"),
    };
    let value = json!({
        "MetadataId": guid_text(hash(format!("{table}.{name}").as_bytes())),
        "LogicalName": name,
        "SchemaName": name,
        "EntityLogicalName": table,
        "AttributeType": code,
        "AttributeTypeName": { "Value": type_name },
        "AttributeOf": null,
        "ColumnNumber": hash(name.as_bytes()) % 10_000,
        "DisplayName": label(name, language),
        "IsPrimaryId": store.table.key.first() == Some(&name),
        "IsPrimaryName": matches!(name, "msdyn_name" | "subject" | "fullname"),
        "IsCustomAttribute": name.starts_with("msdyn_"),
        "IsValidForRead": true,
        "IsRetrievable": true,
        "IsValidODataAttribute": true,
        "IsSecured": false,
        "IsLogical": false,
    });
    let mut properties = match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    more(&mut properties);
    Attribute { kind, properties, sets: Vec::new() }
}
