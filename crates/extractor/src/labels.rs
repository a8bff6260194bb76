//! Labels: the texts of choice codes, as the environment's metadata has them.

use copilot_lake_tables::{Column, Labels, Table, Type};
use serde::Deserialize;
use url::Url;

use crate::client::Client;
use crate::error::Error;
use crate::request::{self, Ask};

/// English: the only language of labels in the lake.
const LANGUAGE: u32 = 1033;

/// The type of metadata that holds the options of a choice column, and what is to be expanded of it. A cast to their
/// common type is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cast {
    pub(crate) ty: &'static str,
    pub(crate) expand: &'static str,
}

const PICKLIST: Cast = Cast { ty: "PicklistAttributeMetadata", expand: "OptionSet,GlobalOptionSet" };
const STATE: Cast = Cast { ty: "StateAttributeMetadata", expand: "OptionSet" };
const STATUS: Cast = Cast { ty: "StatusAttributeMetadata", expand: "OptionSet" };

impl Cast {
    fn of(column: &Column) -> Option<Self> {
        match (column.ty, column.wire) {
            (Type::Choice(_), "statecode") => Some(STATE),
            (Type::Choice(_), "statuscode") => Some(STATUS),
            (Type::Choice(_), _) => Some(PICKLIST),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Choices {
    value: Vec<Choice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Choice {
    logical_name: String,
    option_set: Option<OptionSet>,
    global_option_set: Option<OptionSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OptionSet {
    options: Option<Vec<Code>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code {
    value: Option<i32>,
    label: Option<Texts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Texts {
    localized_labels: Option<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    label: Option<String>,
    language_code: Option<u32>,
}

/// Asks for the labels of a table: one request for each kind of choice that it has.
pub(crate) async fn ask(client: &Client, api: &Url, table: &'static Table) -> Result<Labels, Error> {
    let mut labels = Labels::default();
    for cast in [PICKLIST, STATE, STATUS] {
        if table.columns.iter().any(|column| Cast::of(column) == Some(cast)) {
            let ask = Ask::json(request::choices_url(api, table, cast)?);
            let choices: Choices = client.json(&ask, "the answer is not the metadata of choices").await?;
            read(table, cast, choices, &mut labels);
        }
    }
    Ok(labels)
}

fn read(table: &'static Table, cast: Cast, choices: Choices, labels: &mut Labels) {
    for Choice { logical_name, option_set, global_option_set } in choices.value {
        let of_it = |column: &&Column| column.wire == logical_name && Cast::of(column) == Some(cast);
        let Some(column) = table.columns.iter().find(of_it) else { continue };
        // What the column itself says comes last, and so stays.
        for options in [global_option_set, option_set].into_iter().flatten().filter_map(|set| set.options) {
            for (value, texts) in options.into_iter().filter_map(|code| Some((code.value?, code.label?))) {
                let texts = texts.localized_labels.into_iter().flatten();
                let mut english = texts.filter(|text| text.language_code == Some(LANGUAGE));
                if let Some(label) = english.find_map(|text| text.label) {
                    labels.insert(column.name, value, &label);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::COPILOT_INTERACTION;

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
        let mut labels = Labels::default();
        read(&COPILOT_INTERACTION, PICKLIST, serde_json::from_str(&choices).unwrap(), &mut labels);
        let found: Vec<_> = labels.iter().collect();
        assert_eq!(found, [("msdyn_scenariotype", 1, "one"), ("msdyn_scenariotype", 3, "three")]);
    }
}
