//! What goes wrong with requests to Microsoft Graph: refusals, limits, faults, and mistakes of clients.

use std::time::Duration;

use super::{World, history, people};

fn tenant(more: &str) -> String {
    format!("clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 6\ninteractions = 300\nlicensed = 1.0\nquiet = 0.0\n{more}")
}

async fn first(world: &World) -> String {
    people(world).await[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn single_people_are_refused() {
    let world = World::new(&tenant(
        r#"
        [[graph.user]]
        index = 0
        status = 403
        [[graph.user]]
        index = 1
        status = 403
        message = "The user has no valid Copilot license."
        [[graph.user]]
        index = 2
        status = 404
        code = "ResourceNotFound"
        message = "The user does not have a mailbox."
        [[graph.user]]
        index = 3
        status = 404
        "#,
    ))
    .await;
    let there = people(&world).await;
    let id = |at: usize| there[at]["id"].as_str().unwrap();
    let gone = format!(
        "Resource '{}' does not exist or one of its queried reference-property objects are not present.",
        id(3)
    );
    for (at, status, code, message) in [
        (0, 403, "Forbidden", "UnknownError"),
        (1, 403, "Forbidden", "The user has no valid Copilot license."),
        (2, 404, "ResourceNotFound", "The user does not have a mailbox."),
        (3, 404, "Request_ResourceNotFound", &gone),
    ] {
        let got = world.graph(&history(id(at))).await;
        assert_eq!(got.error(), (status, code.to_owned(), message.to_owned()));
        let inner = &got.json()["error"]["innerError"];
        assert_eq!(inner["date"], "2025-11-05T12:00:00");
        assert_eq!(inner["request-id"], got.header("request-id"));
        assert_eq!(inner["client-request-id"], got.header("client-request-id"));
    }
    let named = [("client-request-id", "mine")];
    let url = format!("{}v1.0/{}", world.emulator.url(), history(id(4)));
    assert_eq!(world.get_with(&url, &named).await.header("client-request-id"), "mine");
    assert!(world.graph("nothing").await.error().2.contains("'nothing'"));
}

#[tokio::test]
async fn everyone_or_the_unlicensed_are_refused() {
    let world = World::new(&tenant("everyone_forbidden = true")).await;
    assert_eq!(world.graph(&history(&first(&world).await)).await.error().1, "Forbidden");
    assert_eq!(world.graph("users").await.status, 200);
    let world = World::new(&tenant("refuse_unlicensed = true\n[[graph.user]]\nindex = 1\nlicensed = false")).await;
    for person in people(&world).await {
        let got = world.graph(&history(person["id"].as_str().unwrap())).await;
        assert_eq!(got.status, if person["licensed"] == true { 200 } else { 403 });
    }
}

#[tokio::test]
async fn bursts_are_throttled() {
    let world = World::new(&tenant("limits = { requests_per_second = 5, sustained = 1.0 }")).await;
    let id = first(&world).await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(world.graph(&history(&id)).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    let got = world.graph(&history(&id)).await;
    assert_eq!(got.error(), (429, "TooManyRequests".to_owned(), "Please retry again later.".to_owned()));
    assert_eq!((got.header("retry-after"), &got.json()["error"]["innerError"]["code"]), ("1", &"429".into()));
    assert_eq!(world.graph("users").await.status, 200, "only histories");
    let served = world.emulator.served();
    assert_eq!((served.graph.unwrap().throttled, served.statuses[&429]), (3, 3));
    // What was refused counts too: a second later there is room again.
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(world.graph(&history(&id)).await.status, 200);
}

#[tokio::test]
async fn a_rate_is_throttled_that_is_no_burst() {
    let limits = "limits = { requests_per_second = 10, sustained = 0.5, window = 2, retry_after = false }";
    let world = World::new(&tenant(limits)).await;
    let id = first(&world).await;
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(world.graph(&history(&id)).await.status);
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    assert_eq!(statuses, [[200; 10].as_slice(), &[429]].concat());
    let got = world.graph(&history(&id)).await;
    assert_eq!((got.status, got.header("retry-after")), (429, ""));
    assert_eq!(world.emulator.served().retry_after_violations, 0, "nobody was told to wait");
}

#[tokio::test]
async fn waiting_is_asked_of_histories_alone() {
    let limits = "limits = { requests_per_second = 1, sustained = 1.0, window = 5 }";
    let world = World::new(&tenant(limits)).await;
    let id = first(&world).await;
    let mut got = world.graph(&history(&id)).await;
    while got.status == 200 {
        got = world.graph(&history(&id)).await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.graph("users").await.rows();
    world.get("WhoAmI").await;
    assert_eq!(world.emulator.served().retry_after_violations, 0);
    world.graph(&history(&id)).await;
    assert_eq!(world.emulator.served().retry_after_violations, 1);
}

#[tokio::test]
async fn a_mailbox_limit_asks_for_waiting_in_one_history() {
    let fault =
        "[[fault]]\nat = \"history\"\nnumber = 1\nkind = \"429\"\nretry_after = 5\ncode = \"MailboxConcurrency\"";
    let world = World::new(&format!("{}\n{fault}", tenant(""))).await;
    let users = people(&world).await;
    let [one, other] = [0, 1].map(|at| history(users[at]["id"].as_str().unwrap()));
    assert_eq!(world.graph(&one).await.status, 429);
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.graph(&other).await;
    assert_eq!(world.emulator.served().retry_after_violations, 0);
    world.graph(&one).await;
    assert_eq!(world.emulator.served().retry_after_violations, 1);
}

#[tokio::test]
async fn one_history_at_a_time() {
    let world =
        World::new(&format!("{}\n[[fault]]\nat = \"history\"\nevery = 1\nkind = \"slow\"\nms = 100", tenant(""))).await;
    let there = people(&world).await;
    let paths: Vec<_> = there.iter().map(|person| history(person["id"].as_str().unwrap())).collect();
    let (first, second, third) = tokio::join!(world.graph(&paths[0]), world.graph(&paths[1]), world.graph("users"));
    assert_eq!([first.status, second.status, third.status], [200; 3]);
    assert_eq!(world.emulator.served().graph.unwrap().at_once, 0);
    let (first, second, third) = tokio::join!(world.graph(&paths[0]), world.graph(&paths[0]), world.graph(&paths[1]));
    assert_eq!([first.status, second.status, third.status], [200; 3]);
    assert_eq!(world.emulator.served().graph.unwrap().at_once, 1);
}

async fn with(fault: &str) -> World {
    World::new(&format!("{}\n[[graph.user]]\nindex = 0\ninteractions = 60\n[[fault]]\n{fault}", tenant(""))).await
}

#[tokio::test]
async fn refusals_come_where_they_are_wanted() {
    for (kind, status, code) in [
        ("429", 429, "TooManyRequests"),
        ("500", 500, "InternalServerError"),
        ("503", 503, "ServiceUnavailable"),
        ("408", 408, "RequestTimeout"),
        ("401", 401, "InvalidAuthenticationToken"),
        ("403_privilege", 403, "Forbidden"),
    ] {
        for (at, path) in [
            ("history", None),
            ("users", Some("users")),
            ("deleted", Some("directory/deletedItems/microsoft.graph.user")),
        ] {
            let world = with(&format!("at = \"{at}\"\nnumber = 2\nkind = \"{kind}\"\nretry_after = 3")).await;
            let id = first(&world).await;
            let path = path.map_or_else(|| history(&id), str::to_owned);
            assert_eq!(world.graph(&path).await.status, 200, "{kind} {at}");
            let got = world.graph(&path).await;
            assert_eq!((got.error().0, got.error().1.as_str()), (status, code), "{kind} {at}");
            assert!(status == 401 || got.header("retry-after") == "3", "{kind} {at}");
            assert_eq!(world.graph(&path).await.status, 200, "{kind} {at}");
        }
    }
}

#[tokio::test]
async fn faults_find_a_person() {
    let plain = World::new(&tenant("")).await;
    let there = people(&plain).await;
    let id = |at: usize| there[at]["id"].as_str().unwrap();
    let world = with(&format!("at = \"history\"\nevery = 1\nkind = \"503\"\nmatching = \"{}\"", id(2))).await;
    for at in 0..6 {
        assert_eq!(world.graph(&history(id(at))).await.status, if at == 2 { 503 } else { 200 });
    }
    assert_eq!(world.emulator.served().faults, 1);
}

#[tokio::test]
async fn pages_are_spoilt() {
    for (kind, sizes) in [("kind = \"short_page\"\nrows = 2", [2, 7]), ("kind = \"empty_page\"", [0, 7])] {
        let world = with(&format!("at = \"history\"\nnumber = 1\n{kind}")).await;
        let id = first(&world).await;
        let pages = world.graph_walk(&format!("{}?$top=7", history(&id))).await;
        assert_eq!(pages.iter().take(2).map(Vec::len).collect::<Vec<_>>(), sizes, "{kind}");
        let mut there = 0;
        world.emulator.interactions(&mut |row| there += usize::from(row.user_id == id));
        assert_eq!(pages.concat().len(), there, "{kind}");
    }
    for at in ["history", "users"] {
        let world = with(&format!("at = \"{at}\"\nnumber = 1\nkind = \"duplicate_row\"")).await;
        let path = if at == "users" { "users".to_owned() } else { history(&first(&world).await) };
        let pages = world.graph_walk(&format!("{path}?$top=2")).await;
        assert_eq!((pages[1].len(), &pages[1][0]), (3, &pages[0][1]), "{at}");
        let world = with(&format!("at = \"{at}\"\nnumber = 1\nkind = \"foreign_link\"")).await;
        let link = world.graph(&path).await.link().unwrap();
        assert!(link.starts_with(&format!("http://foreign.example/v1.0/{path}?")), "{link}");
        let world = with(&format!("at = \"{at}\"\nnumber = 1\nkind = \"expired_link\"")).await;
        let link = world.graph(&format!("{path}?$top=2")).await.link().unwrap();
        assert_eq!(world.graph(&link).await.status, 400, "{at}");
        assert_eq!(world.graph(&link).await.status, 200, "{at}");
    }
}

#[tokio::test]
async fn answers_break_off() {
    for kind in ["cut_body", "cut_chunked"] {
        let world = with(&format!("at = \"history\"\nnumber = 1\nkind = \"{kind}\"")).await;
        let url = format!("{}v1.0/{}", world.emulator.url(), history(&first(&world).await));
        assert!(world.try_get(&url, &[]).await.is_err(), "{kind}");
        assert!(!world.get(&url).await.rows().is_empty(), "{kind}");
    }
    let world = with("at = \"users\"\nnumber = 1\nkind = \"not_json\"").await;
    assert_eq!(world.graph("users").await.header("content-type"), "text/html");
    let mut world = with("at = \"history\"\nnumber = 1\nkind = \"expired_token\"").await;
    let path = history(&first(&world).await);
    assert_eq!(world.graph(&path).await.error().1, "InvalidAuthenticationToken");
    assert_eq!(world.graph(&path).await.status, 401, "until there is another");
    world.sign_in().await;
    assert_eq!(world.graph(&path).await.status, 200);
}

#[tokio::test]
async fn tenants_that_make_no_sense_are_refused() {
    for (more, why) in [
        ("folders = 5", "between 1 and 4"),
        ("licensed = 1.5", "between 0 and 1"),
        ("user = 1", "invalid type"),
        ("[[graph.interaction]]\nraw = \"{}\"", "needs a `user`"),
        ("[[graph.interaction]]\nuser = 1\nfolder = \"x\"", "no folder `x`"),
        ("unknown = 1", "unknown field"),
    ] {
        let error = crate::Scenario::parse(&format!("[graph]\nusers = 2\n{more}")).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = crate::Scenario::parse("[[phase]]\ngraph = { interactions = 1 }").unwrap_err().to_string();
    assert!(error.contains("needs [graph]"), "{error}");
    for more in ["[[graph.group]]\nid = \"g\"\nmembers = [7]", "interactions = 100000000", "[[graph.user]]\nindex = 9"]
    {
        let scenario = crate::Scenario::parse(&format!("[graph]\nusers = 2\nquiet = 0.0\n{more}")).unwrap();
        let started = crate::Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await;
        assert!(matches!(started, Err(crate::Error::Scenario(_))), "{more}");
    }
}
