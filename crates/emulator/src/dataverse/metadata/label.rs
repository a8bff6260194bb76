//! Labels and options in the shape of the metadata service.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::data::random::{guid_text, hash};

/// English.
const ENGLISH: i32 = 1_033;

/// A label in English and in the caller's language.
fn label(text: &str, language: i32) -> Value {
    let of =
        |text: String, code: i32| json!({ "Label": text, "LanguageCode": code, "IsManaged": true, "HasChanged": null });
    let english = of(text.to_owned(), ENGLISH);
    if language == ENGLISH {
        return json!({ "LocalizedLabels": [english], "UserLocalizedLabel": english });
    }
    let own = of(format!("{text} ({language})"), language);
    json!({ "LocalizedLabels": [own, english], "UserLocalizedLabel": own })
}

/// Labels by language, and the one that the caller sees.
fn labels_by_language(labels: &BTreeMap<String, String>, language: i32) -> Value {
    let of = |(code, text): (&String, &String)| json!({ "Label": text, "LanguageCode": code.parse::<i32>().ok(), "IsManaged": true, "HasChanged": null });
    let own = labels.get_key_value(&language.to_string()).map(of);
    json!({ "LocalizedLabels": labels.iter().map(of).collect::<Vec<_>>(), "UserLocalizedLabel": own })
}

/// A set of options. `labels` returns a code's labels by language, where a scenario sets them.
pub(crate) fn option_set<'l>(
    (name, is_global, kind): (&str, bool, &str),
    options: &[(i32, &str)],
    labels: impl Fn(i32) -> Option<&'l BTreeMap<String, String>>,
    language: i32,
) -> Value {
    let one = |(code, text): &(i32, &str)| {
        let label = labels(*code).map_or_else(|| label(text, language), |labels| labels_by_language(labels, language));
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
