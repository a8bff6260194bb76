//! Users who are refused, excluded, new or deleted, and how they are reported.

use crate::graph::{asked, histories, tenant};
use crate::graph_runs::under_way;
use crate::harness::{World, of_table, text};

/// This many users from a number on, with the given response for their histories.
fn refused(from: usize, users: usize, more: &str) -> String {
    let id = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    (from..from + users).map(|n| format!("[[graph.user]]\nindex = {n}\nid = \"{}\"\n{more}\n", id(n))).collect()
}

#[test]
fn an_application_that_is_refused_is_told_by_a_run_that_continues_another() {
    let world = tenant("users = 3000\nlicensed = 1.0\ndeleted = 0.0\neveryone_forbidden = true");
    let mut world = world.of_graph("licensed", "2025-08-01");
    world.keys.insert("graph.requests_per_second".to_owned(), 60.into());
    let mut run = under_way(&world, &["extract", "-q"], 30);
    run.kill().unwrap();
    run.wait().unwrap();
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("AiEnterpriseInteraction.Read.All"), "{told}");
    let rows = world.sql("SELECT DISTINCT status, done_until FROM extraction_slice WHERE source = 'graph'");
    assert_eq!(rows, [["failed", "-"]], "nobody is taken for one without a history");
}

#[test]
fn a_few_users_who_are_all_refused_are_told_by_a_run_that_continues_another() {
    let world = tenant("users = 50\nlicensed = 1.0\ndeleted = 0.0\neveryone_forbidden = true");
    let mut world = world.of_graph("licensed", "2025-08-01");
    world.keys.insert("graph.requests_per_second".to_owned(), 20.into());
    let mut run = under_way(&world, &["extract", "-q"], 5);
    run.kill().unwrap();
    run.wait().unwrap();
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(5) && told.contains("AiEnterpriseInteraction.Read.All"), "{told}");
}

#[test]
fn users_without_a_mailbox_are_no_missing_permission() {
    let users = refused(0, 3, "status = 403\ncode = \"MailboxNotEnabledForRESTAPI\"");
    let world = tenant(&format!("users = 3\nlicensed = 1.0\ndeleted = 0.0\n{users}")).of_graph("all", "2025-08-01");
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && !told.contains("AiEnterprise"), "{told}");
    assert_eq!(world.sql("SELECT DISTINCT status FROM extraction_slice"), [["skipped"]]);
}

#[test]
fn an_application_that_is_refused_is_told_though_somebody_has_no_mailbox() {
    let first = refused(0, 1, "status = 404");
    let rest = refused(1, 599, "status = 403");
    let world = tenant(&format!("users = 600\nlicensed = 1.0\ndeleted = 0.0\n{first}{rest}"));
    let world = world.of_graph("all", "2025-08-01");
    let output = world.run(&["extract"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(histories(&world, 0).len() < 300, "{} were asked for", histories(&world, 0).len());
}

#[test]
fn long_histories_are_no_missing_permission_while_others_are_refused() {
    // Behind those who can be read.
    let users = refused(0, 150, "status = 403").replace("\"00000000-", "\"ffffffff-");
    let world = tenant(&format!(
        "users = 156\ninteractions = 12000\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nend = 2025-11-04\n{users}"
    ));
    let world = world.of_graph("all", "2025-07-01");
    let summary = world.extract(&[], 3);
    let of = of_table(&summary, "ai_interaction");
    assert_eq!((&of["slices_done"], &of["slices_skipped"]), (&6.into(), &150.into()), "{summary}");
    world.check_histories(&world.users_read());
}

#[test]
fn new_users_who_are_refused_keep_those_from_nothing_who_were_read() {
    // Of the first hundred and twenty nothing was read when they are refused, with a reason of theirs and without.
    let (later, reason) = (refused(0, 60, "licensed = false"), refused(60, 60, "licensed = false"));
    let refused = (0..120).map(|n| {
        let message = if n < 60 { "" } else { "code = 'MailboxNotEnabledForRESTAPI', " };
        format!("{{ index = {n}, licensed = true, status = 403, {message}enabled = true }}")
    });
    // Of somebody who was read and is gone nothing can be told either.
    const GONE: &str = "00000000-0000-4000-8000-0000000000b3";
    let gone = format!("{{ id = '{GONE}', status = 403, deleted = 2025-11-06T08:00:00Z }}");
    let refused = refused.chain([gone]).collect::<Vec<_>>().join(", ");
    let late = "{ user = 148, values = { createdDateTime = '2025-11-06T10:00:00Z' } }";
    let world = tenant(&format!(
        "users = 150\ninteractions = 900\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nend = 2025-11-05\n{later}{reason}
        [[graph.user]]\nindex = 149\nid = \"{GONE}\"
        [[phase]]\nclock = 2025-11-06T12:00:00Z\ngraph = {{ user = [{refused}], interaction = [{late}] }}"
    ));
    let world = world.of_graph("licensed", "2025-08-01");
    world.extract(&[], 0);
    assert_eq!(world.users_read().len(), 30);
    world.emulator.advance().unwrap();
    let summary = world.extract(&[], 3);
    let of = of_table(&summary, "ai_interaction");
    assert_eq!((&of["slices_done"], &of["slices_skipped"]), (&29.into(), &121.into()), "{summary}");
    assert!(summary["error"].as_str().unwrap().starts_with("partial: 121 users skipped, more than 5 %"), "{summary}");
    world.check_histories(&world.users_read());
}

#[test]
fn a_deleted_user_who_could_not_be_read_is_tried_until_the_directory_forgets() {
    const LEAVER: &str = "00000000-0000-4000-8000-0000000000b2";
    let phase = |clock: &str, user: &str| format!("[[phase]]\nclock = {clock}\ngraph = {{ user = [{user}] }}\n");
    let (fails, healed) = (format!("{{ id = '{LEAVER}', status = 400, deleted = 2025-11-06T10:00:00Z }}"), 200);
    let world = tenant(&format!(
        "users = 5\ninteractions = 300\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nend = 2025-11-04
        [[graph.user]]\nindex = 1\nid = \"{LEAVER}\"
        [[graph.interaction]]\nuser = 1\nvalues = {{ createdDateTime = \"2025-11-06T09:00:00Z\" }}\n{}{}{}{}",
        phase("2025-11-06T12:00:00Z", &fails),
        phase("2025-11-14T12:00:00Z", ""),
        phase("2025-11-22T12:00:00Z", &format!("{{ id = '{LEAVER}', status = {healed} }}")),
        phase("2025-11-23T12:00:00Z", ""),
    ));
    let world = world.of_graph("licensed", "2025-07-01");
    world.extract(&[], 0);
    for _ in 0..2 {
        world.emulator.advance().unwrap();
        world.extract(&[], 3);
    }
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let users = world.users_read();
    assert_eq!(users.len(), 5);
    world.check_histories(&users);
    // Now that everything is read, nobody asks again.
    world.emulator.advance().unwrap();
    let from = world.emulator.requests().len();
    world.extract(&[], 0);
    assert!(!asked(&world, from).contains(LEAVER) && asked(&world, from).len() == 4);
}

#[test]
fn check_asks_for_nobody_who_is_excluded() {
    const GROUP: &str = "00000000-0000-4000-8000-0000000000a1";
    let mut world = tenant(&format!(
        "users = 4\ninteractions = 40\nlicensed = 1.0\ndeleted = 0.0\n{}
        [[graph.group]]\nid = \"{GROUP}\"\nmembers = [1]",
        refused(0, 4, "")
    ));
    world = world.of_graph("all", "2025-08-01");
    let id = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    world.keys.insert("graph.exclude".to_owned(), toml::Value::from(vec![id(0), format!("group:{GROUP}")]));
    let output = world.run(&["check"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(asked(&world, 0), [id(2)].into());
    assert!(histories(&world, 0).iter().all(|request| request.url.contains("createdDateTime gt ")));
}

#[test]
fn check_says_that_filters_are_refused() {
    let world = tenant("users = 4\ninteractions = 40\nlicensed = 1.0\ndeleted = 0.0\nrefuse_filters = true");
    let output = world.of_graph("all", "2025-08-01").run(&["check"]);
    let told = text(&output.stderr);
    assert!(output.status.success() && told.contains("the tenant refuses the filter by time"), "{told}");

    let status = refused(0, 4, "status = 403\ncode = \"MailboxNotEnabledForRESTAPI\"");
    let world = tenant(&format!("users = 4\nlicensed = 1.0\ndeleted = 0.0\n{status}"));
    let output = world.of_graph("all", "2025-08-01").run(&["check"]);
    let told = text(&output.stderr);
    assert!(told.contains("no mailbox") && !told.contains("grant the application permission"), "{told}");
}

#[test]
fn a_group_that_is_not_there_is_told_with_the_keys_that_may_name_it() {
    const GROUP: &str = "group:00000000-0000-4000-8000-0000000000a9";
    for key in ["graph.users", "graph.exclude"] {
        let mut world: World = tenant("users = 4\nlicensed = 1.0").of_graph("all", "2025-08-01");
        world.keys.insert(key.to_owned(), toml::Value::from(vec![GROUP]));
        for command in ["extract", "check"] {
            let output = world.run(&[command]);
            let told = text(&output.stderr);
            assert!(!output.status.success() && told.contains("the directory has no such group"), "{told}");
            assert!(told.contains("graph.users") && told.contains("graph.exclude"), "{told}");
        }
        assert_eq!(histories(&world, 0).len(), 0);
    }
}

#[test]
fn nobody_in_scope_is_told() {
    let world = tenant("users = 4\ninteractions = 10\nlicensed = 0.0").of_graph("licensed", "2025-08-01");
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert!(output.status.success() && told.contains("nobody is in scope"), "{told}");
}

#[test]
fn a_user_who_cannot_be_looked_up_is_one_user() {
    let id = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    let users = "users = 3\ninteractions = 90\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nend = 2025-11-04";
    let scenario = |faults: &str| {
        let all = refused(0, 3, "");
        format!("clock = 2025-11-05T12:00:00Z\n[graph]\nlate = {{ share = 0.0 }}\n{users}\n{all}{faults}")
    };
    let fault = |more: &str| format!("[[fault]]\nat = \"user\"\nevery = 1\nmatching = \"{}\"\n{more}\n", id(0));
    for (fault, reason) in [(fault("kind = \"500\""), "retries exhausted"), (fault("kind = \"403_privilege\""), "")] {
        let mut world = World::parse(&scenario("")).of_graph("", "2025-08-01");
        world.keys.insert("graph.users".to_owned(), toml::Value::from(vec![id(0), id(1), id(2)]));
        world.extract(&[], 0);
        world.serve(&scenario(&fault));
        let summary = world.extract(&[], 3);
        let of = of_table(&summary, "ai_interaction");
        assert_eq!((&of["slices_done"], &of["slices_failed"]), (&2.into(), &1.into()), "{summary}");
        assert!(of["reasons"][0].as_str().unwrap().starts_with(&format!("1 user failed: {reason}")), "{summary}");
        assert!(!asked(&world, 0).contains(&id(0)), "nothing is requested of somebody who may be excluded by name");
        // What was read before stays read.
        world.serve(&scenario(""));
        world.extract(&[], 0);
        let whole = "SELECT scope, count(*) FROM extraction_slice WHERE source = 'graph' AND status = 'done' AND \
                     window_start < '2025-10-01' GROUP BY 1 ORDER BY 1";
        assert_eq!(world.sql(whole), [0, 1, 2].map(|n| vec![id(n), "1".to_owned()]));
        world.check_histories(&world.users_read());
    }
    // Nobody can be looked up: that is not about one of them.
    let denied =
        "[[fault]]\nat = \"user\"\nevery = 1\nkind = \"403_privilege\"\ncode = \"Authorization_RequestDenied\"";
    let mut world = World::parse(&scenario(denied));
    world = world.of_graph("", "2025-08-01");
    world.keys.insert("graph.users".to_owned(), toml::Value::from(vec![id(0), id(1)]));
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(5) && told.contains("User.Read.All"), "{told}");
}

#[test]
fn the_list_of_deleted_users_may_fail() {
    let tenant = "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 4\ninteractions = 40\nlicensed = 1.0\ndeleted = 0.0";
    let mut world = World::parse(tenant).of_graph("licensed", "2025-08-01");
    world.extract(&[], 0);
    world.serve(&format!("{tenant}\n[[fault]]\nat = \"deleted\"\nevery = 1\nkind = \"500\""));
    world.extract(&[], 0);
    assert_eq!(world.users_read().len(), 4);
}
