//! Labels: the texts of choice codes, from the environment's metadata.

use std::collections::HashSet;

use copilot_lake_tables::{Column, Labels, Table, Type};
use serde::Deserialize;
use tokio::sync::OnceCell;
use tracing::warn;
use url::Url;

use super::choice_cast::{ChoiceCast, PICKLIST, STATE, STATUS};
use super::request;
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::Request;

/// English: the preferred language of labels in the lake.
const ENGLISH: u32 = 1033;

/// The organization's base language, cached once requested: every label has a text in it. `None`: it could not be read.
pub(crate) type BaseLanguage = OnceCell<Option<u32>>;

#[derive(Deserialize)]
struct ChoicesResponse {
    value: Vec<ChoiceColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChoiceColumn {
    logical_name: String,
    option_set: Option<OptionSet>,
    global_option_set: Option<OptionSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OptionSet {
    options: Option<Vec<OptionMetadata>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OptionMetadata {
    value: Option<i32>,
    label: Option<LabelTexts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LabelTexts {
    localized_labels: Option<Vec<LocalizedLabel>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LocalizedLabel {
    label: Option<String>,
    language_code: Option<u32>,
}

impl LabelTexts {
    fn label(&self, language: u32) -> Option<&str> {
        let mut of_language =
            self.localized_labels.iter().flatten().filter(|text| text.language_code == Some(language));
        of_language.find_map(|text| text.label.as_deref())
    }
}

/// The labels of one code of a column.
type OptionLabels = (&'static Column, i32, LabelTexts);

/// Requests the labels of a table: one request per kind of choice column, and one for the base language if a code that
/// the catalogue does not know has no English label.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    table: &'static Table,
    base: &BaseLanguage,
) -> Result<Labels, Error> {
    let mut found = Vec::new();
    for cast in [PICKLIST, STATE, STATUS] {
        if table.columns.iter().any(|column| ChoiceCast::for_column(column) == Some(cast)) {
            let request = Request::json(request::choices_url(api, table, cast)?);
            let choices: ChoicesResponse =
                client.fetch_json(&request, "the response is not the metadata of choices").await?;
            found.extend(read(table, cast, choices));
        }
    }
    let base = match needs_base_language(&found) {
        true => *base.get_or_init(|| base_language(client, api)).await,
        false => None,
    };
    Ok(labels(&found, base))
}

/// The base language. Without it a code may stay unlabelled, which is no error.
async fn base_language(client: &Client, api: &Url) -> Option<u32> {
    #[derive(Deserialize)]
    struct Organizations {
        value: Vec<Organization>,
    }
    #[derive(Deserialize)]
    struct Organization {
        languagecode: Option<u32>,
    }
    let request = Request::json(request::language_url(api).ok()?);
    let response = client.fetch_json::<Organizations>(&request, "the response is not an organization").await;
    match response {
        Ok(organizations) => organizations.value.into_iter().find_map(|organization| organization.languagecode),
        Err(error) => {
            warn!(%error, "the organization's base language could not be read: labels are in English only");
            None
        }
    }
}

/// The labels of the definition's columns; a column's own options come after those of its global option set, and win.
fn read(table: &'static Table, cast: ChoiceCast, choices: ChoicesResponse) -> Vec<OptionLabels> {
    let mut found = Vec::new();
    for ChoiceColumn { logical_name, option_set, global_option_set } in choices.value {
        let of_it = |column: &&Column| column.wire == logical_name && ChoiceCast::for_column(column) == Some(cast);
        let Some(column) = table.columns.iter().find(of_it) else { continue };
        for options in [global_option_set, option_set].into_iter().flatten().filter_map(|set| set.options) {
            found.extend(options.into_iter().filter_map(|code| Some((column, code.value?, code.label?))));
        }
    }
    found
}

/// Whether some code unknown to the catalogue has labels, but none in English.
fn needs_base_language(found: &[OptionLabels]) -> bool {
    let in_english: HashSet<_> = found
        .iter()
        .filter(|(_, _, texts)| texts.label(ENGLISH).is_some())
        .map(|(column, code, _)| (column.name, *code))
        .collect();
    found.iter().any(|(column, code, texts)| {
        let is_known = matches!(column.ty, Type::Choice(set) if set.label(*code).is_some());
        let has_any = texts.localized_labels.iter().flatten().any(|text| text.label.is_some());
        !is_known && has_any && !in_english.contains(&(column.name, *code))
    })
}

/// The label of each code: English, otherwise the base language. Later entries win.
fn labels(found: &[OptionLabels], base: Option<u32>) -> Labels {
    let mut labels = Labels::default();
    for language in base.into_iter().chain([ENGLISH]) {
        for (column, code, texts) in found {
            if let Some(label) = texts.label(language) {
                labels.insert(column.name, *code, label);
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::COPILOT_INTERACTION;

    #[test]
    fn very_many_options_are_compared_once() {
        // Compared pairwise, these would take minutes.
        let option = |code: i32| {
            let label = r#"{"LocalizedLabels":[{"Label":"x","LanguageCode":1031},{"Label":"y","LanguageCode":1033}]}"#;
            format!(r#"{{"Value":{code},"Label":{label}}}"#)
        };
        let options = (0..120_000).map(option).collect::<Vec<_>>().join(",");
        let choices =
            format!(r#"{{"value":[{{"LogicalName":"msdyn_scenariotype","OptionSet":{{"Options":[{options}]}}}}]}}"#);
        let found = read(&COPILOT_INTERACTION, PICKLIST, serde_json::from_str(&choices).unwrap());
        assert_eq!((found.len(), needs_base_language(&found)), (120_000, false));
        assert_eq!(labels(&found, None).iter().count(), 120_000);
    }

    #[test]
    fn labels_are_the_english_ones_of_the_definitions_columns() {
        let text = |label: &str, language| format!(r#"{{"Label":"{label}","LanguageCode":{language}}}"#);
        let code = |value: i32, texts: &[String]| {
            let user = text("of the user", 1031);
            format!(
                r#"{{"Value":{value},"Label":{{"UserLocalizedLabel":{user},"LocalizedLabels":[{}]}}}}"#,
                texts.join(",")
            )
        };
        let own = code(1, &[text("eins", 1031), text("one", 1033)]);
        let german = code(2, &[text("zwei", 1031)]);
        let global = code(1, &[text("another one", 1033)]) + "," + &code(3, &[text("three", 1033)]);
        let choices = format!(
            r#"{{"value":[{{"LogicalName":"msdyn_scenariotype","OptionSet":{{"Options":[{own},{german}]}},
                "GlobalOptionSet":{{"Options":[{global}]}}}},
                {{"LogicalName":"zz_custom","OptionSet":{{"Options":[{own}]}},"GlobalOptionSet":null}},
                {{"LogicalName":"msdyn_interactiontype","OptionSet":null}},
                {{"LogicalName":"statecode","OptionSet":{{"Options":[{own}]}}}}]}}"#
        );
        let found = read(&COPILOT_INTERACTION, PICKLIST, serde_json::from_str(&choices).unwrap());
        let english = labels(&found, None);
        let english: Vec<_> = english.iter().collect();
        assert_eq!(english, [("msdyn_scenariotype", 1, "one"), ("msdyn_scenariotype", 3, "three")]);
        // The catalogue does not know 2, which has no English label.
        assert!(needs_base_language(&found) && !needs_base_language(&found[..1]));
        let german = labels(&found, Some(1031));
        let two = ("msdyn_scenariotype", 2, "zwei");
        assert_eq!(german.iter().collect::<Vec<_>>(), [english[0], two, english[1]]);
    }
}
