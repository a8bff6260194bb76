//! Labels and options in the shape of the metadata service.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::data::random::{guid_text, hash};

/// English.
const ENGLISH: i32 = 1_033;

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
pub(crate) fn option_set<'l>(
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
