//! Interactions that arrive late, and how a tenant changes from phase to phase.

use std::collections::BTreeSet;

use super::{World, history, people};

fn keys(world: &World) -> BTreeSet<(String, String, String)> {
    let mut keys = BTreeSet::new();
    world.emulator.interactions(&mut |row| {
        keys.insert((row.user_id.to_owned(), row.session_id.to_owned(), row.id.to_owned()));
    });
    keys
}

#[tokio::test]
async fn late_rows_come_in_time() {
    let scenario = |clock: &str| {
        format!(
            "clock = {clock}\n[graph]\nusers = 30\ninteractions = 3000\ndays = 7\nend = 2025-11-01\n\
             late = {{ share = 0.2, hours = 6 }}"
        )
    };
    let all = keys(&World::new(&scenario("2025-11-02T06:00:00Z")).await);
    assert_eq!(all.len(), 3_000);
    let mut world = World::new(&format!(
        "{}\n[[phase]]\nclock = 2025-10-31T15:00:00Z\n[[phase]]\nclock = 2025-10-31T18:00:00Z",
        scenario("2025-10-31T12:00:00Z")
    ))
    .await;
    let clock = |text: &str| copilot_lake_tables::Instant::parse(text).unwrap().0 / 1_000;
    let (mut last, mut came_late) = (BTreeSet::new(), 0);
    for now in ["2025-10-31T12:00:00Z", "2025-10-31T15:00:00Z", "2025-10-31T18:00:00Z"] {
        let there = keys(&world);
        let due = all.iter().filter(|(_, _, id)| id.parse::<i64>().unwrap() <= clock(now)).count();
        assert!(there.len() < due && there.len() > due * 9 / 10, "{} of {due}", there.len());
        assert!(last.is_subset(&there));
        let before =
            last.iter().map(|(_, _, id): &(_, _, String)| id.parse::<i64>().unwrap()).max().unwrap_or(i64::MAX);
        came_late +=
            there.difference(&last).filter(|(_, _, id)| id.parse::<i64>().unwrap() < before - 3_600_000).count();
        last = there;
        // The pages say the same.
        world.sign_in().await;
        let mut sent = 0;
        for person in people(&world).await {
            let path = format!("{}?$top=100", history(person["id"].as_str().unwrap()));
            sent += world.graph_walk(&path).await.concat().len();
        }
        assert_eq!((sent, world.emulator.served().graph.unwrap().interactions), (last.len(), last.len() as u64));
        world.emulator.advance().unwrap();
    }
    assert!(came_late > 5, "{came_late}");
}

const PHASES: &str = r#"
clock = 2025-11-02T12:00:00Z
[graph]
users = 20
interactions = 800
end = 2025-11-01
licensed = 1.0
deleted = 0.0
late = { share = 0.0 }
[[graph.group]]
id = "g"
members = [0, 1]
[[graph.interaction]]
user = 0
values = { createdDateTime = "2025-10-01T08:00:00Z" }
arrives = 2025-11-03T00:00:00Z

[[phase]]
clock = 2025-11-03T12:00:00Z
[phase.graph]
interactions = 400
[[phase.graph.user]]
index = 1
deleted = 2025-11-03T08:00:00Z
[[phase.graph.user]]
index = 2
licensed = false
[[phase.graph.user]]
id = "99999999-0000-0000-0000-000000000001"
interactions = 9
[[phase.graph.user]]
index = 5
status = 403
[[phase.graph.group]]
id = "g"
members = [1, 3, "99999999-0000-0000-0000-000000000001"]
[[phase.graph.interaction]]
user = 4
values = { body = { contentType = "text", content = "new" } }

[[phase]]
clock = 2025-12-04T12:00:00Z
[phase.graph]
"#;

#[tokio::test]
async fn tenants_change() {
    let world = World::new(PHASES).await;
    let before = keys(&world);
    assert_eq!(before.len(), 800, "one is late");
    let ids: Vec<_> = people(&world).await.iter().map(|person| person["id"].as_str().unwrap().to_owned()).collect();
    let group = "groups/g/transitiveMembers/microsoft.graph.user?$select=id";
    let deleted = "directory/deletedItems/microsoft.graph.user?$select=id";
    assert_eq!(world.graph(group).await.rows().len(), 2);
    assert_eq!(world.graph(deleted).await.rows().len(), 0);
    world.emulator.advance().unwrap();

    let after = keys(&world);
    assert!(before.is_subset(&after));
    let new: Vec<_> = after.difference(&before).collect();
    assert_eq!(new.len(), 1 + 400 + 9 + 1);
    let (from, until) = (1_762_084_800_000, 1_762_171_200_000_i64);
    let since = |id: &str| (from..until).contains(&id.parse::<i64>().unwrap());
    assert_eq!(new.iter().filter(|(_, _, id)| since(id)).count(), 410, "between the clocks");
    assert_eq!(world.graph(deleted).await.rows()[0]["id"], ids[1].as_str());
    assert_eq!(world.graph(&format!("users/{}", ids[1])).await.status, 404);
    let members: Vec<_> = world.graph(group).await.rows().iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(members, [format!("{:?}", ids[3]), "\"99999999-0000-0000-0000-000000000001\"".to_owned()]);
    let there = people(&world).await;
    assert_eq!((&there[2]["licensed"], there.len()), (&false.into(), 21));
    assert_eq!(world.graph(&history(&ids[5])).await.status, 403);
    let both = world.graph_walk(&history(&ids[4])).await.concat();
    let found = both.iter().find(|row| row["body"]["content"] == "new").unwrap();
    assert_eq!(found["createdDateTime"], "2025-11-03T11:59:58Z");

    world.emulator.advance().unwrap();
    assert_eq!(world.graph(deleted).await.rows().len(), 0, "more than 30 days ago");
    assert_eq!(keys(&world), after);
}
