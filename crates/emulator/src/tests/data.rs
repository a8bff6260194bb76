//! Made-up rows: their shape and proportions, and explicit ones.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{Instant, TABLES, Type, Week};
use serde_json::Value;

use super::{World, all, events, ids};
use crate::Scenario;
use crate::emulated_tables::tables;

const SET: &str = "msdyn_copilotevents";

#[tokio::test]
async fn rows_have_exactly_the_columns_of_the_definition() {
    assert!(!TABLES.is_empty());
    let world = World::with(Scenario::rows(200, 2)).await;
    for table in tables() {
        let columns: Vec<_> = table.columns.iter().filter(|column| !column.wire.contains('@')).collect();
        let shared = ["@odata.etag", "createdon", "modifiedon", "versionnumber"];
        let wanted: BTreeSet<_> = columns.iter().map(|column| column.wire).chain(shared).collect();
        let rows = world.get(table.entity_set().unwrap()).await.rows();
        assert!(rows.len() >= 10, "{}", table.name);
        for row in rows {
            let object = row.as_object().unwrap();
            assert_eq!(object.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted);
            assert_eq!(row["@odata.etag"], format!("W/\"{}\"", row["versionnumber"]));
            for column in &columns {
                let value = &row[column.wire];
                let fits = match column.ty {
                    Type::Guid | Type::Lookup(_) | Type::File => {
                        value.as_str().is_some_and(copilot_lake_tables::is_guid)
                    }
                    Type::Text => value.is_string(),
                    Type::Instant | Type::Date => value.as_str().and_then(Instant::parse).is_some(),
                    Type::Choice(set) => value.as_i64().is_some_and(|code| set.label(code as i32).is_some()),
                    Type::Int32 | Type::Int64 => value.is_i64(),
                    Type::Decimal => value.is_number(),
                    Type::Boolean => value.is_boolean(),
                };
                assert!(fits || (value.is_null() && !column.required), "{}: {value}", column.wire);
            }
        }
    }
}

#[tokio::test]
async fn every_column_has_a_value_somewhere() {
    let world = World::new(&all(3_000)).await;
    for table in tables() {
        let all = [(
            "prefer",
            "odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname,OData.Community.Display.V1.FormattedValue\"",
        )];
        let rows = world.get_with(table.entity_set().unwrap(), &all).await.rows();
        for column in table.columns {
            let is_filled = |row: &Value| row.get(column.wire).is_some_and(|value| !value.is_null());
            assert!(rows.iter().any(is_filled), "{}.{} is always null", table.name, column.wire);
        }
    }
}

#[tokio::test]
async fn rows_follow_from_the_seed_alone() {
    let rows = async |seed: u32, rows: usize| {
        let world = World::new(&format!("seed = {seed}\n{}", events(rows))).await;
        world.walk(SET, 5_000).await.concat()
    };
    let first = rows(1, 40_000).await;
    assert_eq!(first, rows(1, 40_000).await);
    assert_ne!(ids(&first)[..10], ids(&rows(2, 100).await)[..10]);
    assert_eq!(ids(&first).into_iter().collect::<BTreeSet<_>>().len(), 40_000);
}

#[tokio::test]
async fn sessions_look_like_work() {
    let world = World::new(&events(30_000).replace("weeks = 2", "weeks = 4")).await;
    let rows = world.walk(SET, 5_000).await.concat();
    let mut scenarios: BTreeMap<i64, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<i64, usize> = BTreeMap::new();
    let mut requests: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        *scenarios.entry(row["msdyn_scenariotype"].as_i64().unwrap()).or_default() += 1;
        *kinds.entry(row["msdyn_interactiontype"].as_i64().unwrap()).or_default() += 1;
        match row["msdyn_scenariorequestid"].as_str() {
            Some(request) => requests.entry(request).or_default().push(row),
            None => assert_eq!(row["msdyn_interactiontype"], 100_230_309, "only Available rows have no request"),
        }
        let week = Week::of(Instant::parse(row["createdon"].as_str().unwrap()).unwrap());
        assert_eq!(Week::from_partition_id(row["partitionid"].as_str().unwrap()), Some(week));
        assert!(row["modifiedon"].as_str() >= row["createdon"].as_str());
    }
    assert_eq!((scenarios.len(), kinds.len()), (25, 28));
    let generated = kinds[&100_230_305];
    assert!((8_000..16_000).contains(&generated), "{generated}");
    let (mut rated, mut other_week) = (0, 0);
    for rows in requests.values() {
        let is = |row: &&&Value, kind: i64| row["msdyn_interactiontype"] == kind;
        let scenario = &rows[0]["msdyn_scenariotype"];
        assert!(rows.iter().all(|row| row["msdyn_scenariotype"] == *scenario));
        assert_eq!(rows.iter().filter(|row| is(row, 100_230_305)).count(), 1);
        assert_eq!(rows[0]["msdyn_interactiontype"], 100_230_305, "the response comes first");
        if let Some(rating) = rows.iter().find(|row| (100_230_301..=100_230_303).any(|kind| is(row, kind))) {
            rated += 1;
            other_week += usize::from(rating["partitionid"] != rows[0]["partitionid"]);
        }
    }
    assert!((generated / 12..generated / 6).contains(&rated), "{rated} of {generated}");
    assert!(other_week > 0, "a rating may arrive in a later week");
    let times: Vec<_> = rows.iter().map(|row| row["createdon"].as_str().unwrap()).collect();
    assert!(times.windows(2).any(|two| two[0] == two[1]), "ties occur");
    assert!(
        times.iter().any(|time| time.ends_with("T00:00:00Z")) && times.iter().any(|time| time.ends_with("T23:59:59Z"))
    );
    let bytes = serde_json::to_vec(&rows).unwrap().len() / rows.len();
    assert!((1_050..1_450).contains(&bytes), "{bytes} bytes per row");
    let verbatims: BTreeSet<_> = rows.iter().filter_map(|row| row["msdyn_verbatim"].as_str()).collect();
    assert!(verbatims.len() > 10);
    let full = rows.iter().filter_map(|row| row["msdyn_interactioncontext"].as_str());
    let full =
        full.filter(|text| serde_json::from_str::<Value>(text).unwrap().as_object().unwrap().len() == 13).count();
    assert!((generated * 4 / 10..generated * 6 / 10).contains(&full), "{full} of {generated}");
}

#[tokio::test]
async fn the_demo_is_large_enough() {
    let scenario = Scenario::demo();
    assert!(scenario.table[0].rows >= 50_000 && scenario.table[0].weeks >= Some(12));
    assert!(!scenario.service.gzip && scenario.service.limits.is_none() && scenario.fault.is_empty());
}

#[tokio::test]
async fn a_scenario_spells_rows_out() {
    let world = World::new(
        r#"
        [[table]]
        name = "msdyn_copilotevent"
        [[table.row]]
        values = { createdon = 2025-06-28T23:59:59Z, msdyn_scenariotype = 100230999, ownerid = "0e9ec0a2-eb6a-ed11-9561-000d3a336228" }
        json = { msdyn_verbatim = '"\ud800"' }
        nulls = ["msdyn_interactiontype"]
        omit = ["ttlinseconds"]
        extra = { new_region = { name = "north", since = 2020-01-01 } }
        [[table.row]]
        raw = ' {"msdyn_copiloteventid":"A","partitionid":"","createdon":"2025-06-29T00:00:00.5Z", "x":1e400} '
        [[table.row]]
        raw = '{"createdon":17}'
        at = 2025-07-01
        "#,
    )
    .await;
    let bytes = world.get(SET).await.bytes;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#","msdyn_verbatim":"\ud800","#));
    assert!(text.contains(r#"{"msdyn_copiloteventid":"A","partitionid":"","createdon":"2025-06-29T00:00:00.5Z", "x":1e400},{"createdon":17}"#));
    let first = text.split("\"value\":[").nth(1).unwrap().split(",{\"msdyn_copiloteventid\":\"A\"").next().unwrap();
    let first: Value = serde_json::from_str(&first.replace(r"\ud800", "")).unwrap();
    assert_eq!(first["partitionid"], "20250622-20250628-100230999");
    assert_eq!(first["modifiedon"], "2025-06-28T23:59:59Z");
    assert_eq!(first["_ownerid_value"], "0e9ec0a2-eb6a-ed11-9561-000d3a336228");
    assert_eq!(first["new_region"]["since"], "2020-01-01");
    assert!(first["msdyn_interactiontype"].is_null() && first.get("ttlinseconds").is_none());
    assert!(first["msdyn_interactiondata"].is_null() && first["msdyn_interactiondata_name"].is_null());
    let weeks = world.emulator.served().tables["msdyn_copilotevent"].weeks.clone();
    assert_eq!(weeks.keys().collect::<Vec<_>>(), ["1970-01-04", "2025-06-22", "2025-06-29"]);
    let late = world.get(&format!("{SET}?$filter=createdon%20ge%202025-06-30T00:00:00Z")).await.bytes;
    assert!(String::from_utf8(late).unwrap().contains("17"), "a row without a time stands where the scenario says");
}

#[tokio::test]
async fn keys_that_repeat_count_once() {
    let twice = r#"
        [[table]]
        name = "msdyn_copilotevent"
        [[table.row]]
        values = { msdyn_copiloteventid = "f9d841e5-34e7-ee11-904c-000d3a3bb867", partitionid = "p", createdon = "2025-06-22T00:00:00Z" }
        [[table.row]]
        values = { msdyn_copiloteventid = "F9D841E5-34E7-EE11-904C-000D3A3BB867", partitionid = "p", createdon = "2025-06-29T00:00:00Z" }
    "#;
    let world = World::new(twice).await;
    assert_eq!(world.get(SET).await.rows().len(), 2);
    let events = world.emulator.served().tables["msdyn_copilotevent"].clone();
    assert_eq!((events.rows, events.weeks.keys().next().unwrap().as_str()), (1, "2025-06-29"));
}

#[tokio::test]
async fn the_documented_scenario_is_served() {
    let mut scenario = Scenario::parse(include_str!("../../scenario.toml")).unwrap();
    scenario.token.requests = None;
    let world = World::with(scenario).await;
    assert!(world.emulator.served().tables["msdyn_copilotevent"].rows >= 1_000);
    assert_eq!(world.emulator.advance().unwrap(), 0);
}

#[test]
fn scenarios_with_mistakes_are_refused() {
    for (toml, why) in [
        ("sed = 1", "unknown field `sed`"),
        ("[[table]]\nname = \"account\"", "no table `account`"),
        ("[[table]]\nname = \"msdyn_copilotevent\"\n[[table]]\nname = \"msdyn_copilotevent\"", "twice"),
        ("[[table]]\nname = \"msdyn_copilotevent\"\nwithout = [\"nonsense\"]", "no column `nonsense`"),
        ("[[table]]\nname = \"msdyn_copilotevent\"\nrows = 1000000000", "more than 28 days"),
        ("clock = \"yesterday\"", "neither a date nor an instant"),
    ] {
        let error = Scenario::parse(toml).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
