//! The options of a table's choice columns of one kind:
//! `EntityDefinitions(LogicalName='t')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=..&$expand=OptionSet`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::data::random::{guid_text, hash};
use crate::data::table_store::TableStore;
use crate::dataverse::metadata::column_metadata::{ColumnMetadata, attributes};
use crate::dataverse::metadata::options::{MetadataOptions, project};
use crate::http::response::{HttpResponse, ServiceError};

/// The kinds of choice columns.
const KINDS: [&str; 3] = ["PicklistAttributeMetadata", "StateAttributeMetadata", "StatusAttributeMetadata"];

/// The language code of English.
const ENGLISH: i32 = 1_033;

/// Answers with the columns of a table that are of a kind; `language` is the caller's.
pub(crate) fn choices(
    stores: &[TableStore],
    table: &str,
    kind: &str,
    query: &str,
    root: &str,
    language: i32,
) -> Result<HttpResponse, ServiceError> {
    let options = MetadataOptions::parse(query)?;
    let store = stores.iter().find(|store| !store.absent && store.table.name == table).ok_or_else(|| {
        let message =
            format!("Could not find an entity with name {table} and id 00000000-0000-0000-0000-000000000000.");
        ServiceError::new(404, "0x80040217", &message)
    })?;
    let segment = format!("Microsoft.Dynamics.CRM.{kind}");
    if !KINDS.contains(&kind) {
        return Err(ServiceError::no_segment(&segment));
    }
    let mut columns = Vec::new();
    for attribute in attributes(store).into_iter().filter(|attribute| attribute.kind == kind) {
        let mut column = attribute.properties(table);
        project(&mut column, &options, &["LogicalName"], kind)?;
        for (name, _) in &options.expand {
            let set = expanded(store, &attribute, name, language);
            column.insert(name.clone(), set.ok_or_else(|| ServiceError::no_property(name, kind))?);
        }
        columns.push(Value::Object(column));
    }
    let context = format!("{root}$metadata#EntityDefinitions('{table}')/Attributes/{segment}");
    Ok(HttpResponse::json(200, json!({ "@odata.context": context, "value": columns }).to_string()))
}

/// The options of a column, its own or the global ones.
fn expanded(store: &TableStore, attribute: &ColumnMetadata, name: &str, language: i32) -> Option<Value> {
    let (column, set) = attribute.choice()?;
    let columns = store.view().columns;
    // Choices of elastic tables are global to the environment.
    let is_global = store.elastic && !columns.is_added(column);
    match name {
        "GlobalOptionSet" if !is_global => Some(Value::Null),
        "OptionSet" | "GlobalOptionSet" => {
            let labels = |code| columns.labels(column, code);
            Some(option_set((set.name, is_global, attribute.code), &columns.options(column), labels, language))
        }
        _ => None,
    }
}

/// Labels by language code, and the one that the caller sees.
fn labels(all: &[(Option<i32>, &str)], language: i32) -> Value {
    let of = |(code, text): &(Option<i32>, &str)| json!({ "Label": text, "LanguageCode": code, "IsManaged": true, "HasChanged": null });
    let own = all.iter().find(|(code, _)| *code == Some(language)).map(of);
    json!({ "LocalizedLabels": all.iter().map(of).collect::<Vec<_>>(), "UserLocalizedLabel": own })
}

/// A label in English and in the caller's language.
fn label(text: &str, language: i32) -> Value {
    match language {
        ENGLISH => labels(&[(Some(ENGLISH), text)], language),
        _ => labels(&[(Some(language), format!("{text} ({language})").as_str()), (Some(ENGLISH), text)], language),
    }
}

/// A set of options. `own_labels` returns a code's labels by language, where a scenario sets them.
fn option_set<'l>(
    (name, is_global, kind): (&str, bool, &str),
    options: &[(i32, &str)],
    own_labels: impl Fn(i32) -> Option<&'l BTreeMap<String, String>>,
    language: i32,
) -> Value {
    let one = |(code, text): &(i32, &str)| {
        let label = match own_labels(*code) {
            Some(own) => {
                let own: Vec<_> = own.iter().map(|(code, text)| (code.parse().ok(), text.as_str())).collect();
                labels(&own, language)
            }
            None => label(text, language),
        };
        let mut option = json!({
            "Value": code, "Color": null, "IsManaged": true, "ExternalValue": "", "ParentValues": [], "Tag": null,
            "IsHidden": false, "MetadataId": null, "HasChanged": null,
            "Label": label, "Description": { "LocalizedLabels": [], "UserLocalizedLabel": null },
        });
        if kind == "Status" {
            // Statuses count from 1, their states from 0.
            option["@odata.type"] = "#Microsoft.Dynamics.CRM.StatusOptionMetadata".into();
            option["State"] = (code - 1).into();
        }
        option
    };
    json!({
        "MetadataId": guid_text(hash(name.as_bytes())), "Name": name, "IsGlobal": is_global,
        "OptionSetType": kind, "IsCustomOptionSet": true, "Options": options.iter().map(one).collect::<Vec<_>>(),
    })
}
