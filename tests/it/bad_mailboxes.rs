//! A tenant of which some mailboxes are throttled, hold what the service cannot serve, or are not there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use copilot_lake_emulator::RecordedRequest;

use crate::graph::histories;
use crate::harness::{UNREADABLE, World, is_soak};

/// The id of a user by number.
fn user(number: usize) -> String {
    format!("00000000-0000-4000-8000-0000000f{number:04}")
}

/// Of a hundred users one is throttled, one has an interaction that no page can hold, five have no mailbox. Nobody else is
/// held up: requests leave at the pace that is asked for, and everything else is in the lake.
#[test]
fn bad_mailboxes_hold_nobody_up() {
    let (users, interactions, rate) = if is_soak() { (20_000, 1_000_000, 60) } else { (400, 4_000, 50) };
    let (throttled, poisoned, absent) = (users / 100, users / 100, users / 20);
    let mut text = format!(
        "seed = 7\nclock = 2025-11-05T12:00:00Z\n[graph]\nusers = {users}\ninteractions = {interactions}\ndays = 60
        licensed = 1.0\ndeleted = 0.0\nquiet = 0.0\nlate = {{ share = 0.0 }}
        limits = {{ requests_per_second = {} }}\n[service]\nlatency_ms = 20\n",
        rate * 30 / 24
    );
    for index in 0..throttled + poisoned + absent {
        let id = user(index);
        write!(text, "[[graph.user]]\nindex = {index}\nid = \"{id}\"\n").unwrap();
        if index < throttled {
            write!(
                text,
                "[[fault]]\nat = \"history\"\nmatching = \"{id}\"\nnumber = 1\ntimes = 2\nkind = \"429\"\nretry_after = 5
                code = \"ApplicationThrottled\"\nmessage = \"Application is over its MailboxConcurrency limit.\"\n"
            )
            .unwrap();
        } else if index >= throttled + poisoned {
            text.push_str("status = 404\ncode = \"ResourceNotFound\"\n");
        }
    }
    for index in throttled..throttled + poisoned {
        write!(
            text,
            "[[graph.interaction]]\nuser = {index}
            values = {{ createdDateTime = \"2025-11-01T10:00:00.25Z\", appClass = \"{UNREADABLE}\" }}\n"
        )
        .unwrap();
    }
    write!(text, "[[fault]]\nat = \"history\"\nevery = 1\nholding = \"{UNREADABLE}\"\nkind = \"500\"\n").unwrap();
    let mut world = World::parse(&text).of_graph("licensed", "2025-09-01");
    world.keys.insert("graph.requests_per_second".to_owned(), rate.into());
    let summary = world.extract(&[], 3);
    assert_eq!(summary["outcome"], "partial", "{summary}");

    // Until the last user was requested for the first time; then only parts of histories are left to be found.
    let requests = histories(&world, 0);
    let mut seen = BTreeSet::new();
    let is_first = |at: &usize| seen.insert(requests[*at].user.clone());
    let until = (0..requests.len()).filter(is_first).last().unwrap();
    let seconds = (requests[until].at_ms - requests[0].at_ms) as f64 / 1000.0;
    let pace = until as f64 / seconds;
    assert!(pace >= 0.9 * f64::from(rate) && pace <= 1.02 * f64::from(rate), "{pace:.1} requests a second of {rate}");
    assert_eq!(world.emulator.served().retry_after_violations, 0);

    let count = |status: &str| {
        let sql = format!("SELECT count(*), count(DISTINCT scope) FROM extraction_slice WHERE status = '{status}'");
        world.sql(&sql).swap_remove(0)
    };
    assert_eq!(count("failed"), [poisoned.to_string(), poisoned.to_string()]);
    assert_eq!(count("skipped"), [absent.to_string(), absent.to_string()]);
    let read = world.users_read();
    assert_eq!(read.len(), users - absent);
    world.check_histories(&read);
    world.check_lake();
}

/// More mailboxes are throttled than histories are read at a time: everybody else is requested meanwhile.
#[test]
fn throttled_mailboxes_do_not_take_the_place_of_others() {
    const USERS: usize = 140;
    const THROTTLED: usize = 80;
    let mut text = format!(
        "seed = 8\nclock = 2025-11-05T12:00:00Z\n[graph]\nusers = {USERS}\ninteractions = 300\ndays = 60\nlicensed = 1.0
        deleted = 0.0\nlate = {{ share = 0.0 }}\n"
    );
    for index in 0..THROTTLED {
        let id = user(index);
        write!(
            text,
            "[[graph.user]]\nindex = {index}\nid = \"{id}\"
            [[fault]]\nat = \"history\"\nmatching = \"{id}\"\nnumber = 1\nkind = \"429\"\nretry_after = 20
            code = \"ApplicationThrottled\"\nmessage = \"Application is over its MailboxConcurrency limit.\"\n"
        )
        .unwrap();
    }
    let mut world = World::parse(&text).of_graph("licensed", "2025-09-01");
    world.keys.insert("graph.requests_per_second".to_owned(), 20.into());
    world.extract(&[], 0);
    let requests = histories(&world, 0);
    let throttled: BTreeSet<_> = (0..THROTTLED).map(user).collect();
    let mut seen = BTreeSet::new();
    let is_again = |request: &&RecordedRequest| {
        let user = request.user.clone().unwrap();
        throttled.contains(&user) && !seen.insert(user)
    };
    let again = requests.iter().find(is_again).unwrap().at_ms;
    let before: BTreeSet<_> = requests.iter().filter(|request| request.at_ms < again).map(|of| &of.user).collect();
    assert_eq!(before.len(), USERS, "everybody was requested once before a throttled mailbox was again");
    assert_eq!(world.emulator.served().retry_after_violations, 0);
    world.check_histories(&world.users_read());
}
