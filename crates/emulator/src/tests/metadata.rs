//! What the environment says about itself.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{Type, dataverse_tables};
use serde_json::Value;

use super::{World, events};

const SCENARIO: &str = r#"
[[table]]
name = "msdyn_copilotevent"
without = ["msdyn_aiagent"]
secured = ["msdyn_interactiondata"]
[[table.column]]
name = "msdyn_scenariotype"
options = [{ value = 100230999, label = "Brand new" }]
[[table.column]]
name = "new_region"
type = "Choice"
options = [{ value = 7, label = "North" }]
[[table.column]]
name = "new_parent"
type = "Lookup"
targets = ["account"]
[[table.row]]
values = { createdon = 2025-06-25T10:00:00Z, msdyn_scenariotype = 100230999 }
extra = { new_region = 7, unheard_of = 1 }
[[table.row]]
values = { createdon = 2025-06-25T10:00:01Z }
[[table]]
name = "msdyn_conversationinsight"
absent = true
[[table]]
name = "msdyn_copilottranscript"
tracked = true
"#;

fn value(got: &super::Got) -> Vec<Value> {
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.bytes));
    got.json()["value"].as_array().unwrap().clone()
}

fn names(attributes: &[Value]) -> BTreeMap<String, Value> {
    attributes.iter().map(|one| (one["LogicalName"].as_str().unwrap().to_owned(), one.clone())).collect()
}

#[tokio::test]
async fn tables_are_listed_with_their_columns() {
    let world = World::new(SCENARIO).await;
    let filter = "LogicalName%20eq%20'msdyn_copilotevent'%20or%20LogicalName%20eq%20'msdyn_conversationinsight'%20or%20LogicalName%20eq%20'msdyn_copilottranscript'";
    let path = format!(
        "EntityDefinitions?$select=LogicalName,ChangeTrackingEnabled&$filter={filter}&$expand=Attributes($select=LogicalName,AttributeType,AttributeOf)"
    );
    let tables = value(&world.get(&path).await);
    let found: Vec<_> = tables.iter().map(|table| table["LogicalName"].as_str().unwrap()).collect();
    assert_eq!(found, ["msdyn_copilotevent", "msdyn_copilottranscript"], "an absent table is not there");
    assert!(tables.iter().all(|table| table["ChangeTrackingEnabled"] == true));
    let of = names(tables[0]["Attributes"].as_array().unwrap());
    assert!(!of.contains_key("msdyn_aiagent"));
    assert_eq!(
        (&of["new_region"]["AttributeType"], &of["new_parent"]["AttributeType"]),
        (&"Picklist".into(), &"Lookup".into())
    );
    assert_eq!(of["msdyn_interactiondata"]["AttributeType"], "Virtual");
    assert_eq!(of["msdyn_interactiondata"]["@odata.type"], "#Microsoft.Dynamics.CRM.FileAttributeMetadata");
    assert_eq!(of["owneridname"]["AttributeOf"], "ownerid");
    assert_eq!(of["createdbyname"]["AttributeOf"], "createdby");
    assert_eq!(of["msdyn_interactiondata_name"]["AttributeOf"], "msdyn_interactiondata");
    assert!(of.contains_key("owneridtype") && of["owneridtype"]["AttributeOf"].is_null());
    let of = names(tables[1]["Attributes"].as_array().unwrap());
    assert_eq!((&of["to"]["AttributeType"], &of["statecode"]["AttributeType"]), (&"PartyList".into(), &"State".into()));
}

#[tokio::test]
async fn every_column_of_the_definitions_is_listed() {
    let world = World::new("").await;
    for table in dataverse_tables() {
        let path = format!("EntityDefinitions?$filter=LogicalName%20eq%20'{}'&$expand=Attributes", table.name);
        let tables = value(&world.get(&path).await);
        let listed = names(tables[0]["Attributes"].as_array().unwrap());
        for column in table.columns.iter().filter(|column| !column.wire.contains('@')) {
            let attribute = &listed[column.name];
            let wanted = match column.ty {
                Type::Guid => "Uniqueidentifier",
                Type::Instant | Type::Date => "DateTime",
                Type::Int32 => "Integer",
                Type::Int64 => "BigInt",
                Type::Decimal => "Decimal",
                Type::Boolean => "Boolean",
                Type::File => "Virtual",
                Type::Text | Type::Choice(_) | Type::Lookup(_) => continue,
            };
            assert_eq!(attribute["AttributeType"], wanted, "{}.{}", table.name, column.name);
        }
        let is_file = |attribute: &&Value| attribute["@odata.type"] == "#Microsoft.Dynamics.CRM.FileAttributeMetadata";
        let files: BTreeSet<_> = listed.values().filter(is_file).map(|file| file["LogicalName"].as_str()).collect();
        assert_eq!(files, table.files().map(|file| Some(file.name)).collect());
    }
}

#[tokio::test]
async fn options_have_labels() {
    let world = World::new(SCENARIO).await;
    let cast = "EntityDefinitions(LogicalName='msdyn_copilotevent')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata";
    let columns =
        names(&value(&world.get(&format!("{cast}?$select=LogicalName&$expand=OptionSet,GlobalOptionSet")).await));
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["msdyn_interactiontype", "msdyn_scenariotype", "new_region"]);
    let options = columns["msdyn_scenariotype"]["OptionSet"]["Options"].as_array().unwrap();
    assert_eq!(options.len(), 26);
    let label = &options[25]["Label"];
    assert_eq!(
        (&options[25]["Value"], &label["LocalizedLabels"][0]["Label"]),
        (&100_230_999.into(), &"Brand new".into())
    );
    assert_eq!(
        (&label["LocalizedLabels"][0]["LanguageCode"], &label["UserLocalizedLabel"]["Label"]),
        (&1_033.into(), &"Brand new".into())
    );
    assert_eq!(columns["msdyn_scenariotype"]["GlobalOptionSet"]["Name"], "msdyn_scenariotype");
    assert!(columns["new_region"]["GlobalOptionSet"].is_null());
    assert_eq!(columns["new_region"]["OptionSet"]["Options"][0]["Value"], 7);
    let status = "EntityDefinitions(LogicalName='msdyn_copilottranscript')/Attributes/Microsoft.Dynamics.CRM.StatusAttributeMetadata";
    let status = value(&world.get(&format!("{status}?$expand=OptionSet")).await);
    assert_eq!(status[0]["OptionSet"]["Options"].as_array().unwrap().len(), 4);
    assert_eq!(status[0]["OptionSet"]["Options"][1]["State"], 1);
    let german = World::new("[service]\nlanguage = 1031").await;
    let columns = names(&value(&german.get(&format!("{cast}?$expand=OptionSet")).await));
    let label = &columns["msdyn_scenariotype"]["OptionSet"]["Options"][0]["Label"];
    assert_eq!(label["UserLocalizedLabel"]["LanguageCode"], 1_031);
    let english =
        label["LocalizedLabels"].as_array().unwrap().iter().find(|label| label["LanguageCode"] == 1_033).unwrap();
    assert_eq!(english["Label"], "Ask a question");
}

#[tokio::test]
async fn labels_come_in_the_languages_that_a_scenario_says() {
    let world = World::new(
        "[service]
        language = 1036
        base_language = 1031
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.column]]
        name = \"msdyn_scenariotype\"
        options = [{ value = 100230999, labels = { 1031 = \"Neu\", 1036 = \"Neuf\" } }]",
    )
    .await;
    let cast = "EntityDefinitions(LogicalName='msdyn_copilotevent')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata";
    let columns = names(&value(&world.get(&format!("{cast}?$expand=OptionSet")).await));
    let options = columns["msdyn_scenariotype"]["OptionSet"]["Options"].as_array().unwrap();
    let label = &options.iter().find(|option| option["Value"] == 100_230_999).unwrap()["Label"];
    let languages: Vec<_> =
        label["LocalizedLabels"].as_array().unwrap().iter().map(|label| &label["LanguageCode"]).collect();
    assert_eq!(languages, [1_031, 1_036]);
    assert_eq!(label["UserLocalizedLabel"]["Label"], "Neuf");
    let organizations = value(&world.get("organizations?$select=languagecode").await);
    assert_eq!(organizations[0]["languagecode"], 1_031);
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let world = World::new(SCENARIO).await;
    for (path, status) in [
        ("EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.StateAttributeMetadata", 404),
        (
            "EntityDefinitions(LogicalName='msdyn_conversationinsight')/Attributes/Microsoft.Dynamics.CRM.StateAttributeMetadata",
            404,
        ),
        (
            "EntityDefinitions(LogicalName='msdyn_copilotevent')/Attributes/Microsoft.Dynamics.CRM.EnumAttributeMetadata",
            404,
        ),
        ("EntityDefinitions?$select=Nonsense", 400),
        ("EntityDefinitions?$expand=Attributes($select=Targets)", 400),
        ("EntityDefinitions?$expand=Keys", 400),
        ("EntityDefinitions?$filter=LogicalName%20ne%20'x'", 400),
        (
            "EntityDefinitions(LogicalName='msdyn_copilotevent')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=Targets",
            400,
        ),
    ] {
        assert_eq!(world.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn added_columns_are_selected_and_sent() {
    let world = World::new(SCENARIO).await;
    let rows = world.get("msdyn_copilotevents?$select=new_region,_new_parent_value").await.rows();
    assert_eq!((&rows[0]["new_region"], &rows[1]["new_region"]), (&7.into(), &Value::Null));
    assert_eq!(rows[0]["unheard_of"], 1, "what nobody knows comes unasked");
    let rows = world.get("msdyn_copilotevents?$select=createdon").await.rows();
    assert!(rows[0].get("new_region").is_none());
    assert_eq!(world.get("msdyn_copilotevents?$filter=new_region%20ne%20null").await.rows().len(), 1);
    assert_eq!(world.emulator.served().columns_unlisted, 0);
    assert_eq!(world.get("msdyn_copilotevents?$select=msdyn_aiagent").await.status, 400);
    assert_eq!(world.get("msdyn_copilotevents?$select=unheard_of").await.status, 400);
    assert_eq!(world.emulator.served().columns_unlisted, 2);
}

#[tokio::test]
async fn metadata_requests_are_counted_and_fail() {
    let fault = "[[fault]]\nat = \"metadata\"\nnumber = 2\nkind = \"503\"\n[[fault]]\nat = \"count\"\nnumber = 1\nkind = \"429\"";
    let world = World::new(&format!("{}{fault}", events(3))).await;
    let statuses = [world.get("EntityDefinitions").await.status, world.get("EntityDefinitions").await.status];
    assert_eq!(statuses, [200, 503]);
    let count =
        "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=%5B%22msdyn_copilotevent%22,%22msdyn_copilottranscript%22%5D";
    assert_eq!(world.get(count).await.status, 429);
    let counts = world.get(count).await.json()["EntityRecordCountCollection"].clone();
    assert_eq!(counts["Count"], 2);
    assert_eq!(counts["Keys"], serde_json::json!(["msdyn_copilotevent", "msdyn_copilottranscript"]));
    assert_eq!(counts["Values"], serde_json::json!([3, 0]));
    let served = world.emulator.served();
    assert_eq!((served.requests["metadata"], served.requests["count"]), (2, 2));
    let world = World::new("[service]\nelastic_count = false").await;
    assert_eq!(world.get(count).await.status, 400);
}
