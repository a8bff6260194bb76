//! Users: lists, licences, groups, deleted users, and what applications may read.

use std::collections::BTreeSet;

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{World, history, people};
use crate::{CLIENT_ID, TENANT_ID};

const BUSINESS_CHAT: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";

fn tenant(more: &str) -> String {
    format!("clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 300\n{more}")
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn everyone_is_listed_once() {
    let world = World::new(&tenant("")).await;
    let pages = world.graph_walk("users?$select=id,accountEnabled&$top=120").await;
    let there: Vec<_> = people(&world).await.into_iter().filter(|person| person["deleted"].is_null()).collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [120, 120, there.len() - 240]);
    let rows = pages.concat();
    assert_eq!(ids(&rows), ids(&there));
    for (row, person) in rows.iter().zip(&there) {
        assert_eq!((row.as_object().unwrap().len(), &row["accountEnabled"]), (2, &person["enabled"]));
    }
    assert!(rows.iter().any(|row| row["accountEnabled"] == false));
    let usual = world.graph("USERS").await;
    let row = &usual.rows()[0];
    assert_eq!((usual.rows().len(), row.as_object().unwrap().len()), (100, 12));
    assert!(row["userPrincipalName"].as_str().unwrap().contains('@'));
    for (query, status) in
        [("$top=999", 200), ("$top=1000", 400), ("$top=0", 400), ("$select=new", 400), ("$filter=x", 400)]
    {
        assert_eq!(world.graph(&format!("users?{query}")).await.status, status, "{query}");
    }
    let link = world.graph("users?$top=5").await.link().unwrap();
    assert_eq!(world.graph(&link.replace("$top=5", "$top=6")).await.error().0, 400, "a link is not rewritten");
    let one = world.graph(&format!("users/{}?$select=id", row["userPrincipalName"].as_str().unwrap())).await;
    assert_eq!(one.json()["id"], row["id"]);
    assert_eq!(world.graph("users/nobody").await.error().1, "Request_ResourceNotFound");
    assert_eq!(world.emulator.served().graph.unwrap().users, there.len() as u64);
}

#[tokio::test]
async fn every_column_of_users_can_be_selected() {
    let world = World::new(&tenant("")).await;
    let columns = copilot_lake_tables::table("graph_user").unwrap().columns;
    let wires: Vec<_> = columns.iter().map(|column| column.wire).filter(|wire| !wire.is_empty()).collect();
    let rows = world.graph_walk(&format!("users?$select={}", wires.join(","))).await.concat();
    for wire in wires {
        assert!(rows.iter().any(|row| !row[wire].is_null()), "{wire}");
    }
}

#[tokio::test]
async fn licences_are_known_by_the_plan_alone() {
    let world = World::new(&tenant("")).await;
    let rows = world.graph_walk("users?$select=id,assignedPlans&$top=999").await.concat();
    let there = people(&world).await;
    let (mut by_service, mut by_presence) = (0, 0);
    for row in &rows {
        let plans = row["assignedPlans"].as_array().unwrap();
        let wanted = |plan: &&Value| plan["servicePlanId"] == BUSINESS_CHAT;
        let licensed = plans.iter().filter(wanted).any(|plan| plan["capabilityStatus"] == "Enabled");
        let person = there.iter().find(|person| person["id"] == row["id"]).unwrap();
        assert_eq!(person["licensed"], licensed);
        let enabled = |plan: &Value| plan["capabilityStatus"] == "Enabled";
        let named = plans.iter().any(|plan| enabled(plan) && plan["service"].as_str().unwrap().contains("Copilot"));
        by_service += u32::from(named != licensed);
        by_presence += u32::from(plans.iter().any(|plan| wanted(&plan)) != licensed);
    }
    assert!(by_service > 5 && by_presence > 5, "{by_service} {by_presence}");
    let licensed = world.emulator.served().graph.unwrap().licensed;
    assert!((195..255).contains(&licensed), "{licensed}");
}

#[tokio::test]
async fn the_gone_are_listed_for_thirty_days() {
    let world = World::new(&tenant("deleted = 0.2\ninteractions = 3000")).await;
    let rows = world.graph_walk("directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime&$top=10").await;
    assert!(rows.len() > 2);
    let rows = rows.concat();
    let gone: Vec<_> = people(&world).await.into_iter().filter(|person| !person["deleted"].is_null()).collect();
    let recent = gone.iter().filter(|person| person["deleted"].as_str().unwrap() > "2025-10-06T12:00:00Z");
    let recent: Vec<_> = recent.cloned().collect();
    assert_eq!(ids(&rows), ids(&recent));
    assert!(recent.len() < gone.len() && rows.iter().all(|row| row["deletedDateTime"].is_string()));
    let listed = ids(&world.graph_walk("users?$top=999").await.concat());
    assert!(ids(&gone).is_disjoint(&listed));
    assert_eq!(world.graph(&format!("users/{}", gone[0]["id"].as_str().unwrap())).await.status, 404);
    let mut found = 0;
    for person in &gone {
        found += world.graph_walk(&history(person["id"].as_str().unwrap())).await.concat().len();
    }
    assert!(found > 0, "they have histories");
}

const GROUPS: &str = r#"
[[graph.user]]
id = "99999999-0000-0000-0000-000000000001"
upn = "ada@contoso.example"
interactions = 12
values = { department = "Engines" }
[[graph.user]]
index = 3
enabled = false
licensed = false
[[graph.user]]
index = 4
deleted = 2025-11-01T00:00:00Z
[[graph.group]]
id = "AAAAAAAA-0000-0000-0000-000000000001"
members = [0, 1, "ada@contoso.example", 4]
groups = ["aaaaaaaa-0000-0000-0000-000000000002"]
[[graph.group]]
id = "aaaaaaaa-0000-0000-0000-000000000002"
members = [1, 2]
every = 100
groups = ["aaaaaaaa-0000-0000-0000-000000000001"]
"#;

#[tokio::test]
async fn nested_groups_give_everyone_once() {
    let world = World::new(&tenant(GROUPS)).await;
    let there = people(&world).await;
    let group = "groups/aaaaaaaa-0000-0000-0000-000000000001/transitiveMembers/microsoft.graph.user";
    let pages = world.graph_walk(&format!("{group}?$select=id&$top=2")).await;
    let rows = pages.concat();
    let wanted = [0, 1, 2, 100, 200, 300].map(|at: usize| there[at]["id"].clone());
    let there_is_no = |at: usize| there[at]["deleted"].is_null();
    assert!([0, 1, 2, 100, 200].into_iter().all(there_is_no), "another seed is needed");
    assert_eq!(rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), wanted);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(there[0]["groups"].as_array().unwrap().len(), 2);
    let ada = world.graph("users/ada@contoso.example?$select=id,department").await.json();
    assert_eq!((ada["id"].as_str(), ada["department"].as_str()), (there[300]["id"].as_str(), Some("Engines")));
    assert_eq!(world.graph_walk(&history("ADA@contoso.example")).await.concat().len(), 12);
    assert_eq!((&there[3]["enabled"], &there[3]["licensed"]), (&false.into(), &false.into()));
    let missing = world.graph(&group.replace("0001", "0009")).await;
    assert_eq!(missing.error().1, "Request_ResourceNotFound");
}

#[tokio::test]
async fn tokens_say_what_applications_may_do() {
    for (roles, statuses) in [
        ("", [200, 200, 404]),
        ("roles = [\"User.Read.All\", \"GroupMember.Read.All\"]", [403, 200, 404]),
        ("roles = [\"AiEnterpriseInteraction.Read.All\"]", [200, 403, 403]),
        ("roles = []", [403, 403, 403]),
    ] {
        let world = World::new(&tenant(roles)).await;
        let id = people(&world).await[0]["id"].as_str().unwrap().to_owned();
        let group = "groups/x/transitiveMembers/microsoft.graph.user".to_owned();
        for (path, status) in [history(&id), "users".to_owned(), group].into_iter().zip(statuses) {
            let got = world.graph(&path).await;
            assert_eq!(got.status, status, "{roles} {path}");
            if status == 403 {
                let message = "Insufficient privileges to complete the operation.";
                assert_eq!((got.error().1.as_str(), got.error().2.as_str()), ("Authorization_RequestDenied", message));
            }
        }
        let parts: Vec<_> = world.token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode_to_vec(parts[1]).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let held = claims["roles"].as_array().unwrap().len();
        assert_eq!((parts.len(), held), (3, if roles.is_empty() { 3 } else { roles.matches(".Read.").count() }));
        assert_eq!((claims["tid"].as_str(), claims["appid"].as_str()), (Some(TENANT_ID), Some(CLIENT_ID)));
        assert_eq!(claims["aud"], world.emulator.url().as_str());
        assert!(claims["exp"].as_u64().unwrap() > 1_700_000_000);
    }
    let mut world = World::new(&tenant("")).await;
    world.token = "a.b.c".to_owned();
    let got = world.graph("users").await;
    assert_eq!((got.error().0, got.error().1.as_str()), (401, "InvalidAuthenticationToken"));
    assert!(got.header("www-authenticate").starts_with("Bearer "));
}
