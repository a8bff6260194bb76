//! `$filter` over HTTP, against the same condition in Rust.

use serde_json::Value;

use super::{World, events};

const SET: &str = "msdyn_copilotevents";

async fn check(world: &World, all: &[Value], filter: &str, condition: impl Fn(&Value) -> bool) -> usize {
    let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let rows = world.get(&format!("{SET}?$filter={encoded}")).await.rows();
    let wanted: Vec<_> = all.iter().filter(|row| condition(row)).cloned().collect();
    assert_eq!(rows, wanted, "{filter}");
    rows.len()
}

#[tokio::test]
async fn conditions_select_what_they_say() {
    let world = World::new(&events(600)).await;
    let all = world.get(SET).await.rows();
    let kind = |row: &Value| row["msdyn_interactiontype"].as_i64().unwrap();
    let made = |row: &Value| row["createdon"].as_str().unwrap().to_owned();
    let n = check(&world, &all, "msdyn_interactiontype eq 100230305", |row| kind(row) == 100_230_305).await;
    assert!((100..500).contains(&n), "{n}");
    check(&world, &all, "msdyn_interactiontype ne 100230305", |row| kind(row) != 100_230_305).await;
    check(&world, &all, "not (msdyn_interactiontype le 100230305)", |row| kind(row) > 100_230_305).await;
    check(&world, &all, "msdyn_scenariorequestid eq null", |row| row["msdyn_scenariorequestid"].is_null()).await;
    check(&world, &all, "msdyn_aiagent ne null", |row| !row["msdyn_aiagent"].is_null()).await;
    check(&world, &all, "msdyn_aiagent lt 1", |_| false).await;
    let day = "2025-10-28T00:00:00Z";
    let precedence = format!("createdon lt {day} or createdon ge {day} and msdyn_interactiontype eq 100230309");
    check(&world, &all, &precedence, |row| made(row).as_str() < day || kind(row) == 100_230_309).await;
    let grouped =
        format!("(createdon ge {day}) and (msdyn_interactiontype eq 100230309 or msdyn_interactiontype eq 100230301)");
    check(&world, &all, &grouped, |row| made(row).as_str() >= day && [100_230_309, 100_230_301].contains(&kind(row)))
        .await;
    let owner = all[5]["_ownerid_value"].as_str().unwrap().to_owned();
    let n = check(&world, &all, &format!("_ownerid_value eq {}", owner.to_uppercase()), |row| {
        row["_ownerid_value"] == owner
    })
    .await;
    assert!(n > 0);
    let partition = all[0]["partitionid"].as_str().unwrap().to_owned();
    check(&world, &all, &format!("partitionid eq '{partition}'"), |row| row["partitionid"] == partition).await;
    let scoped = world.get(&format!("{SET}?partitionId={partition}")).await.rows();
    assert!(!scoped.is_empty() && scoped.iter().all(|row| row["partitionid"] == partition));
}

#[tokio::test]
async fn quotes_in_strings_are_doubled() {
    let world = World::new(
        "[[table]]\nname = \"msdyn_copilotevent\"\nrow = [{ values = { msdyn_name = \"L'été\" } }, { nulls = [\"msdyn_name\"] }]",
    )
    .await;
    let all = world.get(SET).await.rows();
    assert_eq!(check(&world, &all, "msdyn_name eq 'l''ÉTÉ'", |row| row["msdyn_name"] == "L'été").await, 1);
}

#[tokio::test]
async fn wrong_conditions_are_refused() {
    let world = World::new(&events(1)).await;
    for filter in [
        "nonsense eq 1",
        "createdon eq 'text'",
        "createdon ge 2025-10-28",
        "createdon ge 2025-10-28T00:00:00",
        "msdyn_interactiontype eq one",
        "msdyn_name eq unquoted",
        "_ownerid_value eq 'f9d841e5-34e7-ee11-904c-000d3a3bb867'",
        "createdon",
        "createdon like 1",
        "(createdon eq null",
        "createdon eq null)",
        "createdon gt null",
        "createdon eq null and",
        "msdyn_name eq 'open",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let got = world.get(&format!("{SET}?$filter={encoded}")).await;
        assert_eq!((got.status, got.error().1.as_str()), (400, "0x80060888"), "{filter}");
    }
}
