//! Malformed rows of histories, and rows that come again with other content.

use crate::graph::tenant;
use crate::harness::of_table;

const CHILDREN: [&str; 4] =
    ["ai_interaction_attachment", "ai_interaction_context", "ai_interaction_link", "ai_interaction_mention"];

#[test]
fn values_that_fit_no_column_of_a_child_are_rejects_and_hold_nobody_up() {
    let world = tenant(
        "users = 2\ninteractions = 60\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0
        [[graph.interaction]]\nuser = 0
        values = { id = \"7\", sessionId = \"s\", createdDateTime = \"2025-11-03T10:00:00Z\" }
        [graph.interaction.json]
        attachments = '[{ \"attachmentId\": \"a\", \"content\": {} }]'
        contexts = '[{ \"displayName\": \"c\", \"contextReference\": [] }]'
        links = '[{ \"linkUrl\": 7 }, { \"linkUrl\": \"https://contoso.example\", \"displayName\": [1] }]'
        mentions = '[{ \"mentionId\": \"zero\" }]'",
    );
    let world = world.of_graph("all", "2025-08-01");
    for arguments in [&[][..], &["--full"], &[]] {
        let summary = world.extract(arguments, 0);
        assert_eq!(of_table(&summary, "ai_interaction")["slices_done"], 2, "{summary}");
        for child in CHILDREN {
            let rows = if child.ends_with("link") { "2" } else { "1" };
            let found = format!("SELECT count(*) FROM {child} WHERE interaction_id = '7'");
            assert_eq!(world.sql(&found), [[rows]], "{child}");
            let rejects = format!("SELECT count(*) FROM rejected_record WHERE table_name = '{child}'");
            assert_eq!(world.sql(&rejects), [[rows]], "{child}");
        }
        let keys = world.sql("SELECT record_key FROM rejected_record WHERE table_name LIKE '%link' ORDER BY 1");
        assert!(keys[0][0].ends_with("/s/7/0") && keys[1][0].ends_with("/s/7/1"), "{keys:?}");
        world.check_histories(&world.users_read());
        world.check_lake();
    }
}

#[test]
fn interactions_that_the_service_dates_outside_the_window_are_kept_once() {
    // Its bounds exclude, so that the second before the window is asked for too.
    let world = tenant(
        "users = 2\ninteractions = 60\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0
        [[graph.interaction]]\nuser = 0
        values = { id = \"7\", sessionId = \"s\", createdDateTime = \"2025-07-31T23:59:59.5Z\" }",
    );
    let world = world.of_graph("all", "2025-08-01");
    for arguments in [&[][..], &["--since", "2025-08-01"], &[], &["--full"]] {
        world.extract(arguments, 0);
        assert_eq!(world.sql("SELECT count(*) FROM ai_interaction WHERE interaction_id = '7'"), [["1"]]);
        world.check_histories(&world.users_read());
        world.check_lake();
    }
}

#[test]
fn rows_that_come_again_in_other_words_make_no_commits_of_their_own() {
    let row = |user: u32, n: u32| {
        format!(
            "[[graph.interaction]]\nuser = {user}\nvalues = {{ id = \"5\", sessionId = \"s\", createdDateTime = \
             \"2025-11-03T10:00:00Z\", locale = \"x{n}\" }}\n"
        )
    };
    let twice: String = (0..60).flat_map(|user| [row(user, 1), row(user, 2)]).collect();
    let world = tenant(&format!("users = 60\ninteractions = 600\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\n{twice}"));
    let world = world.of_graph("all", "2025-07-01");
    world.extract(&[], 0);
    assert_eq!(world.sql("SELECT count(*) FROM ai_interaction WHERE interaction_id = '5'"), [["60"]]);
    let log = std::fs::read_dir(world.lake().join("ai_interaction/_delta_log")).unwrap().count();
    assert!(log < 15, "{log} commits");
    world.check_lake();
}

#[test]
fn a_key_whose_time_is_another_leaves_its_old_week() {
    let row = |time: &str, links: &str| {
        format!(
            "values = {{ id = \"5\", sessionId = \"s\", createdDateTime = \"{time}\" }}, json = {{ links = '{links}' }}"
        )
    };
    let (two, one) = (r#"[{"linkUrl":"x"},{"linkUrl":"y"}]"#, r#"[{"linkUrl":"z"}]"#);
    let spelled = |text: String| text.replace("}, json", "}\njson");
    let world = tenant(&format!(
        "users = 1\ninteractions = 40\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nend = 2025-11-04
        [[graph.interaction]]\nuser = 0\n{}\n[[graph.interaction]]\nuser = 0\n{}
        [[phase]]\nclock = 2025-11-12T12:00:00Z\ngraph = {{ interaction = [{{ user = 0, {} }}] }}
        [[phase]]\nclock = 2025-11-13T12:00:00Z",
        spelled(row("2025-10-20T10:00:00Z", two)),
        spelled(row("2025-10-28T10:00:00Z", two)),
        row("2025-11-10T10:00:00Z", one),
    ));
    let world = world.of_graph("all", "2025-08-01");
    let found = || world.sql("SELECT week_start FROM ai_interaction WHERE interaction_id = '5'");
    let links = || world.sql("SELECT week_start, link_url FROM ai_interaction_link WHERE interaction_id = '5'");
    world.extract(&[], 0);
    assert_eq!(found().len(), 1, "of two on one page: {:?}", found());
    assert_eq!(links().len(), 2, "{:?}", links());
    world.check_lake();
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_eq!(found(), [["2025-11-09"]]);
    assert_eq!(links(), [["2025-11-09", "z"]]);
    world.check_lake();
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_eq!((found().len(), links().len()), (1, 1));
}
