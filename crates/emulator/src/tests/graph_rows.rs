//! Interactions: the content of generated ones, and explicit ones.

use std::collections::BTreeSet;

use copilot_lake_tables::{Instant, Table};
use serde_json::Value;

use super::{World, history, people};

async fn all(world: &World) -> Vec<Value> {
    let mut rows = Vec::new();
    for person in people(world).await {
        let path = format!("{}?$top=100", history(person["id"].as_str().unwrap()));
        rows.extend(world.graph_walk(&path).await.concat());
    }
    rows
}

async fn many() -> Vec<Value> {
    all(&World::new("[graph]\nusers = 60\ninteractions = 6000\nfolders = 4").await).await
}

fn wires(table: &'static Table) -> impl Iterator<Item = &'static str> {
    table.columns.iter().map(|column| column.wire).filter(|wire| !wire.is_empty())
}

#[tokio::test]
async fn every_property_of_the_definitions_is_sent() {
    let rows = many().await;
    let tables = copilot_lake_tables::TABLES.iter().copied();
    for table in tables.filter(|table| table.name.starts_with("ai_interaction")) {
        let children = match table.name {
            "ai_interaction" => rows.clone(),
            other => {
                let name = format!("{}s", &other["ai_interaction_".len()..]);
                rows.iter().flat_map(|row| row[&name].as_array().unwrap().clone()).collect()
            }
        };
        for wire in wires(table) {
            assert!(children.iter().any(|row| !row[wire].is_null()), "{}: {wire}", table.name);
        }
    }
}

#[tokio::test]
async fn rows_have_the_service_s_quirks() {
    let rows = many().await;
    let some = |what: &str, is: &dyn Fn(&Value) -> bool| assert!(rows.iter().any(is), "{what}");
    let content = |row: &Value| row["body"]["content"].as_str().unwrap().to_owned();
    for row in &rows {
        let (id, created) = (row["id"].as_str().unwrap(), row["createdDateTime"].as_str().unwrap());
        assert_eq!(Instant::parse(created).unwrap().0.div_euclid(1_000).to_string(), id, "{created}");
        assert_eq!((id.len(), &row["etag"]), (13, &row["id"]));
        let response = row["interactionType"] == "aiResponse";
        assert_eq!((response, !response), (row["from"]["user"].is_null(), row["from"]["application"].is_null()));
    }
    let digits: BTreeSet<_> =
        rows.iter().map(|row| row["createdDateTime"].as_str().unwrap()[19..].trim_end_matches('Z').len()).collect();
    assert!([0, 2, 3, 4, 8].iter().all(|digits_of| digits.contains(digits_of)), "{digits:?}");
    some("no session", &|row| row["sessionId"].is_null());
    some("no request", &|row| row.get("requestId").is_none());
    some("a null request", &|row| row.get("requestId").is_some_and(Value::is_null));
    some("a device as text", &|row| row["from"]["device"].is_string());
    some("an empty body", &|row| content(row).is_empty() && row["interactionType"] == "aiResponse");
    some("a raw placeholder", &|row| {
        content(row).starts_with("<attachment id=\"") && row["body"]["contentType"] == "html"
    });
    some("an escaped one", &|row| {
        content(row).starts_with("&lt;attachment id=") && row["body"]["contentType"] == "text"
    });
    some("html", &|row| content(row).contains("<table>") && content(row).contains("<h2>"));
    some("an image", &|row| content(row).contains("data:image/png;base64,"));
    some("an unknown property", &|row| row.get("sensitivityLabelId").is_some());
    some("a mention", &|row| !row["mentions"].as_array().unwrap().is_empty());
    some("a context of a meeting", &|row| row["contexts"][0]["contextType"] == "TeamsMeeting");
    some("none", &|row| row["contexts"].as_array().unwrap().is_empty() && row["conversationType"] == "appchat");
    let user = rows.iter().find_map(|row| row["from"]["user"]["displayName"].as_str()).unwrap();
    assert!(user.starts_with("8:orgid:"), "{user}");
    let responses = |request: &Value| {
        let of = |row: &&Value| row["requestId"] == *request && row["interactionType"] == "aiResponse";
        rows.iter().filter(of).count()
    };
    let requests: BTreeSet<_> = rows.iter().take(500).map(|row| row["requestId"].to_string()).collect();
    let requests: Vec<Value> = requests.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert!(requests.iter().any(|request| request.is_string() && responses(request) > 1), "several responses");
}

#[tokio::test]
async fn a_card_says_the_same_twice() {
    let rows = many().await;
    let cards =
        rows.iter().filter(|row| row["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive");
    let mut seen = 0;
    for row in cards {
        seen += 1;
        let attachment = &row["attachments"][0];
        assert!(row["body"]["content"].as_str().unwrap().contains(attachment["attachmentId"].as_str().unwrap()));
        let text = attachment["content"].as_str().unwrap();
        assert!(text.starts_with("{\r\n  \"type\": \"AdaptiveCard\""));
        let card: Value = serde_json::from_str(text).unwrap();
        let blocks = card["body"].as_array().unwrap();
        assert_eq!((blocks.len(), blocks[0].get("id"), &blocks[1]["id"]), (2, None, &"MessageTextField".into()));
        let (links, notes) = (blocks[0]["text"].as_str().unwrap(), blocks[1]["text"].as_str().unwrap());
        assert!(links.contains("[1](https://") && notes.contains("[^1^]") && !notes.contains("https://"));
        assert_eq!(links.split('\n').next(), notes.split('\n').next());
        assert!(!row["links"].as_array().unwrap().is_empty());
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn rows_are_spelled_out() {
    let world = World::new(
        r#"
        clock = 2025-11-05T12:00:00Z
        [graph]
        users = 2
        [[graph.interaction]]
        user = 1
        values = { createdDateTime = "2025-10-30T10:00:00.25Z", interactionType = "aiResponse", body = { contentType = "text", content = "hello" }, new = 7 }
        json = { sessionId = 'null', mentions = '"\ud800"' }
        omit = ["requestId", "links"]
        [[graph.interaction]]
        user = 1
        folder = "TeamsMessagesData"
        raw = '{"id":"x","createdDateTime":"2025-10-31T10:00:00Z","appClass":"own","body":null}'
        [[graph.interaction]]
        user = 1
        at = 2025-11-01T00:00:00Z
        values = { appClass = "IPM.SkypeTeams.Message.Copilot.Teams" }
        "#,
    )
    .await;
    let id = people(&world).await[1]["id"].as_str().unwrap().to_owned();
    let got = world.graph(&format!("{}?$top=1", history(&id))).await;
    assert_eq!(got.rows()[0]["id"], "1761955200000", "the newest of the first folder");
    assert_eq!(got.rows()[0]["from"]["user"]["id"], id);
    let got = world.graph(&got.link().unwrap()).await;
    let raw: Value =
        serde_json::from_str(r#"{"id":"x","createdDateTime":"2025-10-31T10:00:00Z","appClass":"own","body":null}"#)
            .unwrap();
    assert_eq!(got.rows(), [raw]);
    let got = world.graph(&got.link().unwrap()).await;
    let text = String::from_utf8(got.bytes).unwrap();
    assert!(
        text.contains(r#""id":"1761818400250""#) && text.contains(r#""createdDateTime":"2025-10-30T10:00:00.25Z""#)
    );
    assert!(
        text.contains(r#""sessionId":null"#) && text.contains(r#""mentions":"\ud800""#) && text.contains(r#""new":7"#)
    );
    assert!(!text.contains("requestId") && !text.contains("\"links\""));
    assert!(!text.contains("@odata.nextLink"));
    let mut bodies = Vec::new();
    world.emulator.interactions(&mut |row| bodies.push((row.session_id.to_owned(), row.body.to_owned())));
    assert_eq!(bodies[2], (String::new(), "hello".to_owned()));
    assert_eq!((bodies.len(), bodies[1].1.as_str()), (3, ""));
}

#[tokio::test]
async fn equal_seeds_give_equal_rows() {
    let first = many().await;
    assert_eq!(first, many().await);
    let other = all(&World::new("seed = 2\n[graph]\nusers = 60\ninteractions = 6000").await).await;
    assert_eq!(other.len(), 6_000);
    assert_ne!(first[0], other[0]);
}

#[tokio::test]
async fn a_large_tenant_is_made_at_once() {
    let begun = std::time::Instant::now();
    let world = World::with(crate::Scenario::tenant(20_000, 1_000_000)).await;
    assert!(begun.elapsed().as_secs() < 20, "nothing is rendered ahead");
    assert_eq!(world.emulator.served().graph.unwrap().interactions, 1_000_000);
    let pages = world.graph_walk("users?$top=999&$select=id").await;
    let (first, last) = (&pages[0][0], pages.last().unwrap().last().unwrap());
    for id in [first, last].map(|row| row["id"].as_str().unwrap()) {
        world.graph_walk(&format!("{}?$top=100", history(id))).await;
    }
    assert!(pages.len() >= 20);
}
