//! Histories: pages over folders, filters, and what clients get wrong about them.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{World, history, people};

fn tenant(users: u32, interactions: u32, more: &str) -> String {
    format!("clock = 2025-11-05T12:00:00Z\n[graph]\nusers = {users}\ninteractions = {interactions}\n{more}")
}

fn key(row: &Value) -> (String, String) {
    (row["sessionId"].as_str().unwrap_or_default().to_owned(), row["id"].as_str().unwrap().to_owned())
}

/// What the emulator says that it has: user, session and id.
fn told(world: &World) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    world.emulator.interactions(&mut |row| {
        let new = all.insert((row.user_id.to_owned(), row.session_id.to_owned(), row.id.to_owned()));
        assert!(new, "a key twice: {row:?}");
    });
    all
}

#[tokio::test]
async fn pages_walk_over_folders_and_find_everything() {
    let world = World::new(&tenant(40, 4_000, "folders = 3\nlate = { share = 0.0 }")).await;
    let there = told(&world);
    assert_eq!(there.len(), 4_000);
    let (mut sent, mut empty, mut short) = (BTreeSet::new(), 0, 0);
    let (mut reordered, mut pages_of) = (false, Vec::new());
    for person in people(&world).await {
        let id = person["id"].as_str().unwrap();
        let pages = world.graph_walk(&format!("{}?$top=7", history(id))).await;
        for page in &pages {
            let times: Vec<_> = page.iter().map(|row| row["id"].as_str().unwrap().parse::<i64>().unwrap()).collect();
            assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
            sent.extend(page.iter().map(key).map(|(session, id_of)| (id.to_owned(), session, id_of)));
        }
        let all = pages.concat();
        let times = all.iter().map(|row| row["id"].as_str().unwrap());
        reordered |= !times.collect::<Vec<_>>().is_sorted_by(|a, b| a >= b);
        empty += pages[..pages.len() - 1].iter().filter(|page| page.is_empty()).count();
        short += pages[..pages.len() - 1].iter().filter(|page| !page.is_empty() && page.len() < 7).count();
        pages_of.push(pages.len());
        assert!(pages.len() >= 3, "at least one page per folder");
    }
    assert_eq!(sent, there);
    assert!(empty > 0 && short > 0 && reordered, "{empty} empty, {short} short, reordered: {reordered}");
    let served = world.emulator.served().graph.unwrap();
    assert_eq!((served.interactions, served.rows["history"], served.histories), (4_000, 4_000, 40));
    assert_eq!((served.links_altered, served.at_once), (0, 0));
}

#[tokio::test]
async fn a_page_says_what_the_service_says() {
    let world = World::new(&tenant(1, 100, "licensed = 1.0")).await;
    let id = people(&world).await[0]["id"].as_str().unwrap().to_owned();
    let filter = "appClass%20eq%20%27IPM.SkypeTeams.Message.Copilot.BizChat%27";
    let got = world.graph(&format!("{}?$filter={filter}&$top=2", history(&id))).await;
    let body = got.json();
    let root = world.emulator.url();
    assert_eq!(body["@odata.context"], format!("{root}v1.0/$metadata#Collection(microsoft.graph.aiInteraction)"));
    assert_eq!(body["@odata.count"], body["value"].as_array().unwrap().len());
    let (address, query) = body["@odata.nextLink"].as_str().unwrap().split_once('?').unwrap();
    assert_eq!(address, format!("{root}v1.0/{}", history(&id)));
    let wanted = "$top=2&$filter=appClass+eq+%27IPM.SkypeTeams.Message.Copilot.BizChat%27&$skiptoken=";
    let token = query.strip_prefix(wanted).unwrap_or_else(|| panic!("{query}")).replace("%3d", "=");
    let token = String::from_utf8(base64_simd::STANDARD.decode_to_vec(token).unwrap()).unwrap();
    assert_eq!(token, "SkipValue=2#MailboxFolder=MailFolders/TeamsMessagesData");
    let got = world.graph(&history(&id)).await;
    assert_eq!(got.rows().len(), 10, "the usual size");
    for path in [history(&id).to_lowercase(), format!("{}()", history(&id))] {
        assert_eq!(world.graph(&path).await.rows().len(), 10, "{path}");
    }
    let beta = world.get(&format!("{root}beta/{}", history(&id))).await;
    assert!(beta.link().unwrap().starts_with(&format!("{root}beta/copilot/users/{id}/")));
    let forwarded = [("x-forwarded-proto", "https"), ("x-forwarded-host", "graph.example")];
    let got = world.get_with(&format!("{root}v1.0/{}", history(&id)), &forwarded).await;
    assert!(got.link().unwrap().starts_with("https://graph.example/v1.0/copilot/"), "behind a proxy");
}

#[tokio::test]
async fn people_are_found_by_both_names() {
    let world = World::new(&tenant(3, 60, "")).await;
    let person = &people(&world).await[1];
    let (id, name) = (person["id"].as_str().unwrap(), person["userPrincipalName"].as_str().unwrap());
    let by_id = world.graph(&history(id)).await;
    let by_name = world.graph(&history(&name.to_uppercase())).await;
    assert_eq!(by_id.rows(), by_name.rows());
    assert_eq!(world.graph(&history("nobody@contoso.example")).await.error().1, "Request_ResourceNotFound");
    let asked: Vec<_> = world.emulator.requests().into_iter().skip(1).map(|request| request.user.unwrap()).collect();
    assert_eq!(asked, [id, id, "nobody@contoso.example"]);
}

#[tokio::test]
async fn windows_need_both_bounds_and_leave_both_out() {
    let world = World::new(&tenant(1, 2_000, "licensed = 1.0\nquiet = 0.0")).await;
    let id = people(&world).await[0]["id"].as_str().unwrap().to_owned();
    let all = world.graph_walk(&format!("{}?$top=100", history(&id))).await.concat();
    assert_eq!(all.len(), 2_000);
    let asked = async |filter: &str| {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("$filter", filter).finish();
        let path = format!("{}?$top=100&{}", history(&id), query.replace("%24", "$"));
        let got = world.graph(&path).await;
        if got.status != 200 { Err(got.error()) } else { Ok(world.graph_walk(&path).await.concat()) }
    };
    // The times of two rows that exist: neither comes.
    let mut times: Vec<_> = all.iter().map(|row| row["createdDateTime"].as_str().unwrap()).collect();
    times.sort_by_key(|text| copilot_lake_tables::Instant::parse(text));
    let (from, until) = (times[500], times[900]);
    let window = format!("createdDateTime gt {from} and createdDateTime lt {until}");
    let got = asked(&window).await.unwrap();
    let inside = |time: &str| {
        let at = |text| copilot_lake_tables::Instant::parse(text).unwrap();
        at(from) < at(time) && at(time) < at(until)
    };
    let wanted = times.iter().filter(|time| inside(time)).count();
    assert!((390..400).contains(&wanted));
    assert_eq!(got.len(), wanted);
    assert!(got.iter().all(|row| inside(row["createdDateTime"].as_str().unwrap())));
    let class = "IPM.SkypeTeams.Message.Copilot.Word";
    let both = asked(&format!("{window} and (appClass eq '{class}' or appClass eq 'x')")).await.unwrap();
    assert!(!both.is_empty() && both.iter().all(|row| row["appClass"] == class));
    assert_eq!(both.len(), got.iter().filter(|row| row["appClass"] == class).count());

    let lower = asked(&format!("createdDateTime gt {from}")).await.unwrap_err();
    assert_eq!(lower, (500, "InternalServerError".to_owned(), "Failed to execute request.".to_owned()));
    let session = asked("sessionId eq 'x'").await.unwrap_err();
    let message = "The entity property 'sessionId' and operationKind 'Equal' is not allowed in $filter query.";
    assert_eq!(session, (400, "BadRequest".to_owned(), message.to_owned()));
    assert_eq!(asked(&format!("createdDateTime ge {from}")).await.unwrap_err().0, 400);
    for query in ["$top=101", "$top=0", "$select=id", "$orderby=createdDateTime", "$skiptoken=x", "model=C"] {
        assert_eq!(world.graph(&format!("{}?{query}", history(&id))).await.error().0, 400, "{query}");
    }
    let paid = world.graph(&format!("{}?model=A", history(&id))).await;
    assert!(paid.link().unwrap().contains("?model=A&$skiptoken="));
}

#[tokio::test]
async fn tenants_refuse_filters_and_fractions() {
    let filter = "$filter=createdDateTime+gt+2025-10-01T00:00:00.5Z+and+createdDateTime+lt+2025-10-02T00:00:00Z";
    for (switch, with, without) in
        [("", 200, 200), ("whole_seconds = true", 400, 200), ("refuse_filters = true", 400, 400)]
    {
        let world = World::new(&tenant(1, 10, switch)).await;
        let id = people(&world).await[0]["id"].as_str().unwrap().to_owned();
        let path = format!("{}?{filter}", history(&id));
        assert_eq!(world.graph(&path).await.status, with, "{switch}");
        assert_eq!(world.graph(&path.replace(".5Z", "Z")).await.status, without, "{switch}");
        assert_eq!(world.graph(&history(&id)).await.status, 200, "{switch}");
    }
}

#[tokio::test]
async fn a_rewritten_link_is_noticed() {
    let world = World::new(&tenant(1, 100, "licensed = 1.0")).await;
    let id = people(&world).await[0]["id"].as_str().unwrap().to_owned();
    let filter = "$filter=appClass+eq+%27IPM.SkypeTeams.Message.Copilot.BizChat%27";
    let link = world.graph(&format!("{}?{filter}&$top=2", history(&id))).await.link().unwrap();
    world.graph(&link).await.rows();
    assert_eq!(world.emulator.served().graph.unwrap().links_altered, 0);
    world.graph(&link.replace('+', "%20")).await.rows();
    assert_eq!(world.emulator.served().graph.unwrap().links_altered, 1);
}

#[tokio::test]
async fn ids_and_sessions_repeat() {
    let world = World::new(&tenant(200, 12_000, "")).await;
    let (mut ids, mut sessions): (HashMap<String, BTreeSet<_>>, HashMap<String, BTreeSet<String>>) = Default::default();
    let mut within = HashMap::<(String, String), u32>::new();
    world.emulator.interactions(&mut |row| {
        ids.entry(row.id.to_owned()).or_default().insert((row.user_id.to_owned(), row.session_id.to_owned()));
        sessions.entry(row.session_id.to_owned()).or_default().insert(row.user_id.to_owned());
        *within.entry((row.user_id.to_owned(), row.id.to_owned())).or_default() += 1;
    });
    let shared = sessions.iter().filter(|(session, users)| !session.is_empty() && users.len() > 1).count();
    assert!(shared > 5, "{shared} meetings in several histories");
    assert!(within.values().filter(|count| **count > 1).count() > 20, "ids repeat within a user");
    let elsewhere = ids.values().filter(|places| {
        let users: BTreeSet<_> = places.iter().map(|(user, _)| user).collect();
        let sessions: BTreeSet<_> = places.iter().map(|(_, session)| session).collect();
        users.len() > 1 && sessions.len() > 1
    });
    assert!(elsewhere.count() > 3, "ids repeat across users and sessions");
}

#[tokio::test]
async fn without_a_tenant_there_is_no_graph() {
    let without = World::new("").await;
    assert_eq!(without.get(&format!("{}_emulator/graph/users", without.emulator.url())).await.status, 404);
    assert_eq!(without.graph("users").await.status, 404);
}
