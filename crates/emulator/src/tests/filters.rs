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
    let made = |row: &Value| row["createdon"].as_str().unwrap().to_owned();
    check(&world, &all, "msdyn_scenariorequestid eq null", |row| row["msdyn_scenariorequestid"].is_null()).await;
    let n = check(&world, &all, "msdyn_aiagent ne null", |row| !row["msdyn_aiagent"].is_null()).await;
    assert!((1..500).contains(&n), "{n}");
    let day = "2025-10-28T00:00:00Z";
    let precedence = format!("createdon lt {day} or createdon ge {day} and msdyn_aiagent ne null");
    check(&world, &all, &precedence, |row| made(row).as_str() < day || !row["msdyn_aiagent"].is_null()).await;
    let grouped = format!("(createdon gt {day}) and (msdyn_aiagent ne null or msdyn_scenariorequestid eq null)");
    check(&world, &all, &grouped, |row| {
        made(row).as_str() > day && (!row["msdyn_aiagent"].is_null() || row["msdyn_scenariorequestid"].is_null())
    })
    .await;
    let owner = all[5]["_ownerid_value"].as_str().unwrap().to_owned();
    let n = check(&world, &all, &format!("_ownerid_value eq {}", owner.to_uppercase()), |row| {
        row["_ownerid_value"] == owner
    })
    .await;
    assert!(n > 0);
    let partition = all[0]["partitionid"].as_str().unwrap().to_owned();
    check(&world, &all, &format!("partitionid eq '{partition}'"), |row| row["partitionid"] == partition).await;
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
        "msdyn_interactiontype eq 100230305",
        "not (createdon eq null)",
        "createdon le 2025-10-28T00:00:00Z",
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

#[tokio::test]
async fn a_null_matches_no_range_and_comes_first() {
    let world = World::new(
        "[[table]]
        name = \"msdyn_copilotevent\"
        [[table.row]]
        values = { msdyn_name = \"a\", createdon = 2025-10-28T10:00:00Z, modifiedon = 2025-10-28T11:00:00Z }
        [[table.row]]
        values = { msdyn_name = \"b\", modifiedon = 2025-10-28T12:00:00Z }
        nulls = [\"createdon\"]
        at = 2025-10-28T10:00:00Z
        [[table.row]]
        values = { msdyn_name = \"c\", createdon = 2025-10-29T10:00:00Z }
        nulls = [\"modifiedon\"]",
    )
    .await;
    let names = async |query: &str| {
        let rows = world.get(&format!("{SET}?{}", query.replace(' ', "%20"))).await.rows();
        rows.iter().map(|row| row["msdyn_name"].as_str().unwrap().to_owned()).collect::<String>()
    };
    let of_creation = "createdon ge 2025-10-01T00:00:00Z and createdon lt 2025-11-01T00:00:00Z";
    assert_eq!(names(&format!("$filter={of_creation}")).await, "ac");
    assert_eq!(names(&format!("$filter={of_creation}&$orderby=createdon asc")).await, "ac");
    assert_eq!(names(&format!("$filter=({of_creation}) or (createdon eq null)&$orderby=createdon asc")).await, "bac");
    assert_eq!(names("$filter=createdon eq null").await, "b");
    assert_eq!(names("$filter=createdon ne null&$orderby=createdon asc").await, "ac");
    assert_eq!(names("$orderby=createdon asc").await, "bac");
    assert_eq!(names("$orderby=modifiedon asc").await, "cab");
    let of_change = "modifiedon ge 2025-10-01T00:00:00Z and modifiedon lt 2025-11-01T00:00:00Z";
    assert_eq!(names(&format!("$filter={of_change}&$orderby=modifiedon asc")).await, "ab");
    let created = "modifiedon eq null and (createdon eq null or (createdon ge 2025-10-29T00:00:00Z))";
    assert_eq!(names(&format!("$filter=({of_change}) or ({created})&$orderby=modifiedon asc")).await, "cab");
}

#[tokio::test]
async fn alternatives_about_nulls_cost_nothing_where_there_are_none() {
    let world = World::new(&events(600)).await;
    let all = world.get(SET).await.rows();
    let made = |row: &Value| row["createdon"].as_str().unwrap().to_owned();
    let day = "2025-10-28T00:00:00Z";
    let filter = format!("(createdon ge {day}) or (createdon eq null)");
    let n = check(&world, &all, &filter, |row| made(row).as_str() >= day).await;
    assert!(n > 0);
    check(&world, &all, "createdon ne null", |_| true).await;
    check(&world, &all, "createdon eq null or createdon eq null and modifiedon ne null", |_| false).await;
}
