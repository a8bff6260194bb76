//! Rows that reference rows of other tables: the referenced rows exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{World, all, events};
use crate::Scenario;

async fn rows(world: &World, set: &str) -> Vec<Value> {
    world.walk(set, 5_000).await.concat()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"))
}

fn by<'a>(rows: &'a [Value], name: &str) -> BTreeMap<&'a str, &'a Value> {
    let map: BTreeMap<_, _> = rows.iter().map(|row| (text(row, name), row)).collect();
    assert_eq!(map.len(), rows.len(), "{name} repeats");
    map
}

fn context(row: &Value) -> Value {
    serde_json::from_str(text(row, "msdyn_interactioncontext")).unwrap()
}

#[tokio::test]
async fn every_table_has_the_rows_that_were_asked_for() {
    let world = World::with(Scenario::rows(6_000, 3)).await;
    let served = world.emulator.served();
    let counts: BTreeMap<_, _> = served.tables.iter().map(|(name, table)| (*name, table.rows)).collect();
    let wanted = [
        ("msdyn_copilotevent", 6_000),
        ("msdyn_copilotinteraction", 1_200),
        ("msdyn_copilotinteractiondata", 400),
        ("msdyn_copilottranscript", 300),
        ("msdyn_copilottranscriptdata", 300),
        ("msdyn_conversationinsight", 300),
        ("systemuser", 41),
    ];
    assert_eq!(counts, BTreeMap::from(wanted));
}

#[tokio::test]
async fn contexts_name_chats_that_are_there() {
    let world = World::with(Scenario::rows(6_000, 3)).await;
    let (events, older) = (rows(&world, "msdyn_copilotevents").await, rows(&world, "msdyn_copilotinteractions").await);
    let (chats, data) =
        (rows(&world, "msdyn_copilottranscripts").await, rows(&world, "msdyn_copilottranscriptdatas").await);
    let (chats, data) = (by(&chats, "activityid"), by(&data, "msdyn_copilottranscriptdataid"));
    let mut named = BTreeMap::new();
    for row in events.iter().chain(&older) {
        let context = context(row);
        if context["Transcript"].is_null() {
            continue;
        }
        let (id, of) =
            (context["Transcript"]["Id"].as_str().unwrap(), context["Transcript"]["DataId"].as_str().unwrap());
        let (chat, of) = (chats[id], data[of]);
        assert_eq!(text(of, "_msdyn_copilottranscriptid_value"), id);
        assert_eq!(chat["_createdby_value"], row["_createdby_value"]);
        assert_eq!(chat["msdyn_transcriptforid"], row["msdyn_interactionforid"]);
        assert!(chat["createdon"].as_str() <= row["createdon"].as_str());
        named.insert(
            text(of, "msdyn_copilottranscriptdataid").to_owned(),
            text(row, "msdyn_scenariorequestid").to_owned(),
        );
    }
    assert_eq!(named.len(), 300, "every chat is named");
    let mut read = 0;
    for (id, request) in named.iter().filter(|(id, _)| data[id.as_str()]["msdyn_transcriptdata"].is_string()).take(40) {
        let path = format!("msdyn_copilottranscriptdatas({id})/msdyn_transcriptdata/$value");
        let bytes = world.get(&path).await.bytes;
        let decoded = base64_simd::STANDARD.decode_to_vec(&bytes).unwrap_or(bytes);
        let units: Vec<_> = decoded.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
        let json = String::from_utf16(&units).unwrap();
        let file: Value = serde_json::from_str(json.trim_start_matches('\u{feff}')).unwrap();
        let messages = file["messages"].as_array().unwrap();
        assert!(messages.iter().all(|message| message["requestId"] == **request), "{file}");
        assert_eq!((messages[0]["user"].as_str(), messages[1]["user"].as_str()), (Some("user"), Some("bot")));
        assert!(file["context"]["chatId"].is_string());
        read += 1;
    }
    assert_eq!(read, 40);
}

#[tokio::test]
async fn older_interactions_name_their_content() {
    let world = World::new(&all(1_000)).await;
    let (older, data) =
        (rows(&world, "msdyn_copilotinteractions").await, rows(&world, "msdyn_copilotinteractiondatas").await);
    let data = by(&data, "msdyn_copilotinteractiondataid");
    let (mut files, mut verbatims) = (0, 0);
    for row in &older {
        if let Some(id) = row["_msdyn_interactiondataid_value"].as_str() {
            files += usize::from(data[id]["msdyn_interactiondata"].is_string());
            verbatims += usize::from(data[id]["msdyn_verbatim"].is_string());
            assert_eq!(data[id]["_createdby_value"], row["_createdby_value"]);
        }
    }
    assert!(files > 100 && verbatims > 5, "{files} {verbatims}");
    let codes: BTreeSet<_> = older.iter().map(|row| row["msdyn_scenariotype"].as_i64().unwrap()).collect();
    assert!(codes.iter().all(|code| *code <= 100_230_220), "{codes:?}");
}

#[tokio::test]
async fn some_interactions_are_in_both_stores() {
    let world = World::new(&all(1_000)).await;
    let (events, older) = (rows(&world, "msdyn_copilotevents").await, rows(&world, "msdyn_copilotinteractions").await);
    let names = [
        "msdyn_scenariorequestid",
        "msdyn_scenariotype",
        "msdyn_interactiontype",
        "msdyn_clienttimestamp",
        "_createdby_value",
    ];
    let identity = |row: &Value| names.map(|name| row[name].to_string());
    let newer: BTreeMap<_, _> = events.iter().map(|row| (identity(row), text(row, "msdyn_copiloteventid"))).collect();
    let both: Vec<_> = older.iter().filter_map(|row| Some((row, newer.get(&identity(row))?))).collect();
    assert_eq!(both.len(), 50);
    let same = both.iter().filter(|(row, id)| text(row, "msdyn_copilotinteractionid") == **id).count();
    assert!((10..40).contains(&same), "{same}");
    let begin = events.iter().map(|row| text(row, "createdon")).min().unwrap();
    assert_eq!(older.iter().filter(|row| text(row, "createdon") < begin).count(), 950);
}

#[tokio::test]
async fn insights_are_about_conversations() {
    let world = World::with(Scenario::rows(6_000, 3)).await;
    let events = rows(&world, "msdyn_copilotevents").await;
    let older = rows(&world, "msdyn_copilotinteractions").await;
    let about = |row: &&Value| row["msdyn_interactionforlogicalname"] == "msdyn_ocliveworkitem";
    let conversations: BTreeSet<_> =
        events.iter().chain(&older).filter(about).map(|row| text(row, "msdyn_interactionforid")).collect();
    let insights = rows(&world, "msdyn_conversationinsights").await;
    let (mut envelopes, mut plain) = (0, 0);
    for insight in &insights {
        assert!(conversations.contains(text(insight, "_msdyn_conversationid_value")));
        if let Some(summary) = insight["msdyn_copilotsummary"].as_str() {
            match serde_json::from_str::<Value>(summary) {
                Ok(envelope) => {
                    assert!(envelope["status"]["code"].is_i64() && envelope.get("summary").is_some());
                    envelopes += 1;
                }
                Err(_) => plain += 1,
            }
        }
    }
    assert!(envelopes > 50 && plain > 50);
    let insight = insights.iter().find(|row| row["msdyn_insights"].is_string()).unwrap();
    let path =
        format!("msdyn_conversationinsights({})/msdyn_insights/$value", text(insight, "msdyn_conversationinsightid"));
    let bytes = world.get(&path).await.bytes;
    let decoded = base64_simd::STANDARD.decode_to_vec(&bytes).unwrap_or(bytes);
    assert!(serde_json::from_slice::<Value>(&decoded).unwrap()["insights"]["callDuration"].is_u64());
}

#[tokio::test]
async fn versions_count_through_the_database() {
    let world = World::new(&all(300)).await;
    let mut versions = Vec::new();
    for set in [
        "msdyn_copilotinteractions",
        "msdyn_copilotinteractiondatas",
        "msdyn_copilottranscripts",
        "msdyn_copilottranscriptdatas",
        "msdyn_conversationinsights",
        "systemusers",
    ] {
        let rows = rows(&world, set).await;
        versions.extend(
            rows.iter().map(|row| (row["versionnumber"].as_i64().unwrap(), text(row, "modifiedon").to_owned())),
        );
    }
    versions.sort();
    assert!(versions.windows(2).all(|two| two[0].0 + 1 == two[1].0), "no version twice");
    assert!(versions.is_sorted_by_key(|(_, modified)| modified.clone()));
}

#[tokio::test]
async fn people_are_those_whom_rows_name() {
    let mut scenario = all(300);
    scenario
        .push_str("[[phase]]\nchange = [{ table = \"systemuser\", position = 0, values = { title = \"Coach\" } }]\n");
    let world = World::new(&scenario).await;
    let people = rows(&world, "systemusers").await;
    let people = by(&people, "systemuserid");
    for set in ["msdyn_copilotevents", "msdyn_copilottranscripts"] {
        for row in rows(&world, set).await {
            let person = people[text(&row, "_createdby_value")];
            assert_eq!(person["_businessunitid_value"], row["_owningbusinessunit_value"]);
        }
    }
    let id = people.keys().next().unwrap();
    let path = format!("systemusers?$select=fullname,title,isdisabled&$filter=systemuserid%20eq%20{id}");
    let annotated = [("prefer", "odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\"")];
    let one = world.get_with(&path, &annotated).await.rows();
    assert_eq!((one.len(), &one[0]["fullname"]), (1, &people[id]["fullname"]));
    world.emulator.advance().unwrap();
    let changed = rows(&world, "systemusers?$filter=title%20eq%20'Coach'").await;
    assert_eq!(changed.len(), 1);
    assert!(changed[0]["versionnumber"].as_i64() > people[text(&changed[0], "systemuserid")]["versionnumber"].as_i64());
}

#[tokio::test]
async fn events_alone_stay_as_they_are() {
    let alone = rows(&World::new(&events(500)).await, "msdyn_copilotevents").await;
    let with = rows(&World::new(&all(500)).await, "msdyn_copilotevents").await;
    assert_eq!(alone.len(), with.len());
    for (one, other) in alone.iter().zip(&with) {
        let mut changed = one.clone();
        changed["msdyn_interactioncontext"] = other["msdyn_interactioncontext"].clone();
        assert_eq!(&changed, other, "only contexts may differ");
    }
    assert!(alone.iter().any(|row| row["msdyn_scenariotype"] != 100_230_201 && !context(row)["Transcript"].is_null()));
}

#[tokio::test]
async fn annotations_come_only_when_they_are_asked_for() {
    let world = World::new(&all(300)).await;
    let plain = world.get("msdyn_copilottranscripts").await.rows();
    assert!(plain.iter().all(|row| row.as_object().unwrap().keys().all(|name| !name[1..].contains('@'))));
    let target = "_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname";
    let prefer =
        [("prefer", "odata.maxpagesize=50,odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"")];
    let got = world.get_with("msdyn_copilottranscripts?$select=_regardingobjectid_value,_ownerid_value", &prefer).await;
    assert!(
        got.header("preference-applied")
            .contains("odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"")
    );
    let text = String::from_utf8(got.bytes.clone()).unwrap();
    assert!(text.find(target).unwrap() < text.find("\"_regardingobjectid_value\":\"").unwrap(), "before its property");
    let (mut regarding, mut tables) = (0, BTreeSet::new());
    for row in got.rows() {
        assert_eq!(row["_regardingobjectid_value"].is_null(), row.get(target).is_none());
        regarding += usize::from(row[target] == "incident");
        tables.insert(row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"].as_str().unwrap().to_owned());
    }
    assert!(regarding > 5);
    assert!(tables.contains("systemuser"));
    assert_eq!(world.get(&format!("msdyn_copilottranscripts?$select={target}")).await.status, 400);
    let formatted = [(
        "prefer",
        "odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname,OData.Community.Display.V1.FormattedValue\"",
    )];
    let row = world.get_with("msdyn_copilotevents", &formatted).await.rows().remove(0);
    assert!(row["msdyn_scenariotype@OData.Community.Display.V1.FormattedValue"].is_string());
    assert!(row["_createdby_value@OData.Community.Display.V1.FormattedValue"].is_string());
}

#[tokio::test]
async fn phases_count_versions_on() {
    let phase = r#"
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        generate = [{ table = "msdyn_copilottranscript", rows = 20 }, { table = "msdyn_copilotinteraction", rows = 30 }]
        row = [{ table = "msdyn_copilotinteractiondata", values = { msdyn_verbatim = "late" }, payload_text = "late" }]
        change = [{ table = "msdyn_conversationinsight", position = 0, values = { msdyn_copilotsummary = "new" } }]
    "#;
    let world = World::new(&format!("clock = 2025-11-05T12:00:00Z\n{}{phase}", all(100))).await;
    let sets = [
        ("msdyn_copilottranscripts", 20),
        ("msdyn_copilotinteractions", 30),
        ("msdyn_copilotinteractiondatas", 1),
        ("msdyn_conversationinsights", 1),
    ];
    let newest = |rows: &[Value]| rows.iter().map(|row| row["versionnumber"].as_i64().unwrap()).max().unwrap();
    let mut before = 0;
    for (set, _) in sets {
        before = before.max(newest(&rows(&world, set).await));
    }
    world.emulator.advance().unwrap();
    let mut versions = BTreeSet::new();
    for (set, count) in sets {
        let since = rows(&world, &format!("{set}?$filter=modifiedon%20ge%202025-11-06T00:00:00Z")).await;
        assert_eq!(since.len(), count, "{set}");
        for row in &since {
            assert_eq!(row["@odata.etag"], format!("W/\"{}\"", row["versionnumber"]));
            let version = row["versionnumber"].as_i64().unwrap();
            assert!(version > before && versions.insert(version), "{set}");
        }
    }
}
