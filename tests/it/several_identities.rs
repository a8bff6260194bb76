//! Several identities that share the requests to one service, each within limits of its own.

use std::collections::BTreeMap;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_ID_2, CLIENT_SECRET_2, RecordedRequest};
use copilot_lake_tables::dataverse_tables;

use crate::graph::histories;
use crate::harness::{World, text};

/// Events whose pages are so small that the limit decides how long they take: so many requests, of the 6,000 that are
/// documented, in 300 s that pass in 3, as does `Retry-After`.
fn events(limit: usize, more: &str) -> World {
    let limits = format!("limits = {{ requests = {limit}, window = 300, compression = 100 }}");
    let mut world = World::parse(&format!(
        "seed = 5\nclock = 2025-11-05T12:00:00Z\n[service]\nmax_page = 5\n{limits}\n[[table]]\n\
         name = \"msdyn_copilotevent\"\nrows = 1400\nweeks = 4\n{more}"
    ));
    world.keys.insert("dataverse.tables".to_owned(), vec!["msdyn_copilotevent".to_owned()].into());
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    world
}

/// Adds a second identity for a service.
fn with_second(mut world: World, service: &str) -> World {
    let mut identity = toml::Table::new();
    identity.insert("client_id".to_owned(), CLIENT_ID_2.into());
    identity.insert("client_secret".to_owned(), CLIENT_SECRET_2.into());
    world.keys.insert(format!("{service}.identity"), vec![identity].into());
    world
}

/// Seconds from the first to the last request of a kind.
fn seconds(requests: &[RecordedRequest], kind: &str) -> f64 {
    let times = || requests.iter().filter(|request| request.kind == kind).map(|request| request.at_ms);
    (times().max().unwrap() - times().min().unwrap()) as f64 / 1000.0
}

/// Requests of a kind that were answered, by application.
fn answered(requests: &[RecordedRequest], kind: &str) -> BTreeMap<&'static str, usize> {
    let mut answered = BTreeMap::new();
    for request in requests.iter().filter(|request| request.kind == kind && request.status == 200) {
        *answered.entry(request.application.unwrap()).or_default() += 1;
    }
    answered
}

/// Every row is in the lake once, and no `Retry-After` was broken.
fn check_events(world: &World) {
    world.check_rows(dataverse_tables());
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotevent"), [["1400"]]);
    let served = world.emulator.served();
    assert_eq!((served.retry_after_violations, served.limits_passed), (0, 0), "{served:?}");
}

#[test]
fn two_identities_take_half_the_time_of_one_where_the_limit_decides() {
    let one = events(60, "");
    let summary = one.extract(&[], 0);
    assert_eq!(summary["identities"], serde_json::json!([]), "one alone is not listed");
    check_events(&one);
    let requests = one.emulator.requests();
    assert!(requests.iter().any(|request| request.status == 429), "the limit is reached");
    let alone = seconds(&requests, "page");

    let two = with_second(events(60, ""), "dataverse");
    let summary = two.extract(&[], 0);
    check_events(&two);
    let requests = two.emulator.requests();
    let together = seconds(&requests, "page");
    assert!(together < 0.6 * alone, "{together:.1} s, and {alone:.1} s by one");
    let shares = answered(&requests, "page");
    let (first, second) = (shares[CLIENT_ID] as f64, shares[CLIENT_ID_2] as f64);
    assert!((0.7..1.4).contains(&(first / second)), "{shares:?}");
    let names = |at: usize| summary["identities"][at]["name"].as_str().unwrap().to_owned();
    assert_eq!((names(0), names(1)), ("auth".to_owned(), "dataverse.identity.1".to_owned()));
    assert_eq!(summary["identities"][1]["reason"], serde_json::Value::Null);
}

#[test]
fn what_a_revoked_identity_leaves_is_read_by_the_other() {
    for number in [1, 2] {
        let world =
            with_second(events(200, &format!("[[application]]\nnumber = {number}\nrevoked_after = 60")), "dataverse");
        let summary = world.extract(&[], 0);
        check_events(&world);
        let revoked = &summary["identities"][number - 1];
        let reason = revoked["reason"].as_str().unwrap();
        assert!(reason.starts_with("sign-in refused (AADSTS7000112): the application is disabled"), "{reason}");
        assert_eq!(summary["identities"][2 - number]["reason"], serde_json::Value::Null);
        let shares = answered(&world.emulator.requests(), "page");
        assert!(shares.values().all(|pages| *pages > 20), "{shares:?}");
    }
    // When none is left, the cause is that of the service.
    let both = "[[application]]\nnumber = 1\nrevoked_after = 60\n[[application]]\nnumber = 2\nrevoked_after = 60";
    let world = with_second(events(200, both), "dataverse");
    let summary = world.extract(&[], 3);
    let reason = summary["ended_early"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("sign-in refused (AADSTS7000112)"), "{reason}");
}

#[test]
fn check_and_plan_name_every_identity() {
    let shown = |world: &World, command: &str, code: i32| {
        let output = world.run(&[command]);
        let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(!shown.contains(CLIENT_SECRET_2), "{shown}");
        shown
    };
    let world = with_second(events(60, ""), "dataverse");
    let check = shown(&world, "check", 0);
    for name in ["auth", "dataverse.identity.1"] {
        assert!(check.contains(&format!("dataverse: identity `{name}`: ok")), "{check}");
    }
    let plan = shown(&world, "plan", 0);
    assert!(plan.contains("Identities: `auth`, about "), "{plan}");
    assert!(plan.contains(", `dataverse.identity.1`, about "), "{plan}");

    let world = with_second(events(60, "[[application]]\nnumber = 2\nmember = false"), "dataverse");
    let check = shown(&world, "check", 3);
    let missing = "dataverse: identity `dataverse.identity.1` is not used: permission missing: the environment has no \
                   application user";
    assert!(check.contains(missing), "{check}");
    let plan = shown(&world, "plan", 0);
    assert!(plan.contains("Identity `dataverse.identity.1` is not used: permission missing"), "{plan}");
    let summary = world.extract(&[], 0);
    assert_ne!(summary["identities"][1]["reason"], serde_json::Value::Null);
    world.check_rows(dataverse_tables());
}

#[test]
fn histories_are_read_twice_as_fast_by_two_applications() {
    let tenant = || {
        let world = World::parse(
            "seed = 7\n[graph]\nusers = 240\ninteractions = 2400\nlicensed = 1.0\ndeleted = 0.0\nlate = { share = 0.0 }\n\
             limits = { requests_per_second = 50 }\n[service]\nlatency_ms = 20",
        );
        let mut world = world.of_graph("licensed", "2025-07-01");
        world.keys.insert("graph.requests_per_second".to_owned(), 40.into());
        world
    };
    let one = tenant();
    one.extract(&[], 0);
    let alone = seconds(&one.emulator.requests(), "history");

    let two = with_second(tenant(), "graph");
    let summary = two.extract(&[], 0);
    two.check_histories(&two.users_read());
    let together = seconds(&two.emulator.requests(), "history");
    assert!(together < 0.6 * alone, "{together:.1} s, and {alone:.1} s by one");
    let served = two.emulator.served();
    assert_eq!((served.graph.unwrap().at_once, served.retry_after_violations), (0, 0));
    assert_eq!(summary["identities"].as_array().unwrap().len(), 2);
    // A link goes back to the application that it was given to.
    let mut followed = 0;
    let mut last: BTreeMap<String, &str> = BTreeMap::new();
    for request in histories(&two, 0) {
        let (user, application) = (request.user.unwrap(), request.application.unwrap());
        let before = last.insert(user, application);
        if request.url.contains("skiptoken") {
            assert_eq!(before, Some(application));
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed} links");

    let mut revoked = with_second(tenant(), "graph");
    let scenario = "seed = 7\n[graph]\nusers = 100\ninteractions = 800\nlicensed = 1.0\nlate = { share = 0.0 }\n\
                    [[application]]\nnumber = 2\nrevoked_after = 40";
    revoked.serve(scenario);
    let summary = revoked.extract(&[], 0);
    revoked.check_histories(&revoked.users_read());
    let reason = summary["identities"][1]["reason"].as_str().unwrap();
    assert!(reason.starts_with("sign-in refused (AADSTS7000112)"), "{reason}");
}

#[test]
fn a_run_is_partial_that_cannot_look_for_deletions_since_the_first_identity_is_not_used() {
    let mut world = with_second(events(6_000, "[[application]]\nnumber = 1\nmember = false"), "dataverse");
    world.keys.insert("dataverse.deletes".to_owned(), "mark".into());
    let summary = world.extract(&[], 3);
    check_events(&world);
    let reasons = summary["tables"].to_string();
    assert!(reasons.contains("deletions are not looked for: the first identity"), "{reasons}");
    assert!(!world.emulator.served().requests.contains_key("tracking"));

    world.serve(
        "seed = 5\nclock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 1400\nweeks = 4",
    );
    world.extract(&[], 0);
    assert!(world.emulator.served().requests["tracking"] > 0, "tracking begins");
}
