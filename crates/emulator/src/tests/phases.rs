//! Rows that appear, change and disappear, and the emulator's own paths.

use serde_json::Value;

use super::{World, events, ids};

const SET: &str = "msdyn_copilotevents";

fn scenario() -> String {
    format!(
        "clock = 2025-11-05T12:00:00Z\n{}{}",
        events(40),
        r#"
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        row = [{ values = { msdyn_name = "new" } }, { values = { createdon = 2025-10-20T00:00:00Z, msdyn_name = "old" } }]
        change = [{ position = -1, values = { msdyn_name = "changed" }, payload_text = "other" }]
        delete = [{ position = 0 }]
        [[phase]]
        generate = { rows = 25, from = 2025-11-06T00:00:00Z, until = 2025-11-06T06:00:00Z }
        delete = [{ every = 2 }]
        "#
    )
}

#[tokio::test]
async fn phases_add_change_and_delete() {
    let world = World::new(&scenario()).await;
    let before = world.get(SET).await.rows();
    assert_eq!(world.emulator.advance().unwrap(), 1);
    let after = world.get(SET).await.rows();
    assert_eq!(after.len(), 41);
    assert!(!ids(&after).contains(&ids(&before)[0]), "deleted");
    let named = |name: &str| after.iter().find(|row| row["msdyn_name"] == name).unwrap().clone();
    assert_eq!(named("new")["createdon"], "2025-11-06T11:59:58Z");
    assert_eq!(after[40], named("new"), "in order of creation");
    assert_eq!(
        (&named("old")["modifiedon"], &named("old")["createdon"]),
        (&"2025-10-20T00:00:00Z".into(), &"2025-10-20T00:00:00Z".into())
    );
    let (changed, was) = (named("changed"), &before[39]);
    assert_eq!(changed["msdyn_copiloteventid"], was["msdyn_copiloteventid"]);
    assert_eq!(changed["createdon"], was["createdon"]);
    assert_eq!(changed["modifiedon"], "2025-11-06T11:59:58Z");
    assert!(changed["versionnumber"].as_i64() > was["versionnumber"].as_i64());
    assert_eq!(changed["@odata.etag"], format!("W/\"{}\"", changed["versionnumber"]));
    assert_ne!(changed["msdyn_interactiondata"], was["msdyn_interactiondata"]);
    let since = world.get(&format!("{SET}?$filter=modifiedon%20ge%202025-11-05T12:00:00Z")).await.rows();
    assert_eq!(ids(&since).len(), 2, "the new one and the changed one");
    assert_eq!(world.get("WhoAmI").await.header("date"), "Thu, 06 Nov 2025 12:00:00 GMT");

    assert_eq!(world.emulator.advance().unwrap(), 0);
    let rows = world.get(SET).await.rows();
    assert_eq!(rows.len(), 41 - 21 + 25);
    let made = |row: &&Value| row["createdon"].as_str().is_some_and(|at| at.starts_with("2025-11-06T0"));
    assert_eq!(rows.iter().filter(made).count(), 25);
    assert_eq!(world.emulator.advance().unwrap(), 0, "nothing is left to happen");
    assert_eq!(world.get(SET).await.rows(), rows);
}

#[tokio::test]
async fn what_was_sent_stays_known_across_phases() {
    let world = World::new(&scenario()).await;
    world.walk(SET, 7).await;
    world.emulator.advance().unwrap();
    let events = world.emulator.served().tables["msdyn_copilotevent"].clone();
    assert_eq!((events.rows, events.rows_served), (41, 38), "the changed row counts as new");
}

#[tokio::test]
async fn links_outlive_changes() {
    let world = World::new(&scenario()).await;
    let size = [("prefer", "odata.maxpagesize=10")];
    let first = world.get_with(SET, &size).await;
    let second = world.get_with(&first.link().unwrap(), &size).await.rows();
    world.emulator.advance().unwrap();
    assert_eq!(world.get_with(&first.link().unwrap(), &size).await.rows(), second);
}

#[tokio::test]
async fn the_emulator_tells_over_http() {
    let world = World::new(&scenario()).await;
    world.walk(SET, 15).await;
    let own = |path: &str| format!("{}_emulator/{path}", world.emulator.url());
    let served = world.get(&own("served")).await.json();
    assert_eq!(served, serde_json::to_value(world.emulator.served()).unwrap());
    assert_eq!((&served["requests"]["page"], &served["rows"]), (&3.into(), &40.into()));
    assert_eq!(served["tables"]["msdyn_copilotevent"]["rows"], 40);
    let lines = |got: super::Got| -> Vec<Value> {
        String::from_utf8(got.bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let rows = lines(world.get(&own("rows/msdyn_copilotevent")).await);
    let sent = world.get(SET).await.rows();
    assert_eq!(rows.len(), 40);
    assert_eq!(rows[3]["key"], serde_json::json!([sent[3]["msdyn_copiloteventid"], sent[3]["partitionid"]]));
    assert_eq!(
        (&rows[3]["modifiedon"], &rows[3]["versionnumber"]),
        (&sent[3]["modifiedon"], &sent[3]["versionnumber"])
    );
    let requests = world.emulator.requests();
    let kinds: Vec<_> = requests.iter().map(|request| request.kind).collect();
    assert_eq!(kinds, ["token", "page", "page", "page", "page"]);
    assert!(requests[1].url.ends_with("/msdyn_copilotevents"));
    let advanced = super::read(world.client.post(own("advance"))).await.unwrap();
    assert_eq!(advanced.json()["phases_left"], 1);
    assert_eq!(world.get(&own("advance")).await.status, 405);
}

#[tokio::test]
async fn rows_that_are_not_there_cannot_change() {
    for select in ["position = 7", "key = [\"a\", \"b\"]", "every = 0", ""] {
        let separator = if select.is_empty() { "" } else { ", " };
        let toml =
            format!("{}[[phase]]\nchange = [{{ {select}{separator}values = {{ msdyn_name = \"x\" }} }}]", events(3));
        let world = World::new(&toml).await;
        assert!(matches!(world.emulator.advance(), Err(crate::Error::Scenario(_))), "{select}");
    }
}
