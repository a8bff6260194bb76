//! The shipped questions over hand-made events, with every number worked out by hand.

use copilot_lake_tables::{CONVERSATION_INSIGHT, PAYLOAD};

use super::lake::{
    ASK, AUTONOMOUS, AVAILABLE, CLEAR, COPY, DISCARD, DOWN, EMAIL, Event, GENERATED, KEEP, MANUAL_COPY, SEND, TestLake,
    UP, answer, event,
};
use crate::query;

/// Three weeks from 2025-06-22. Every request that is rated shows one rule.
fn ratings() -> Vec<Event> {
    let early = "2025-06-23T10:00:00Z";
    vec![
        // r1: up, then clear, then down, in an order that the server's clock gets wrong.
        event(GENERATED, ASK, "r1", early),
        event(UP, ASK, "r1", "2025-06-23T10:00:09Z").client("2025-06-23T10:00:01Z"),
        event(CLEAR, ASK, "r1", "2025-06-23T10:00:08Z").client("2025-06-23T10:00:02Z"),
        event(DOWN, ASK, "r1", "2025-06-23T10:00:07Z").client("2025-06-23T10:00:03Z").says("wrong case"),
        // r2: down, then cleared: not rated, though the week has the event.
        event(GENERATED, ASK, "r2", early),
        event(DOWN, ASK, "r2", "2025-06-23T10:01:00Z").says("never mind"),
        event(CLEAR, ASK, "r2", "2025-06-23T10:02:00Z"),
        // r3: rated a week later, twice generated: the rate belongs to the first response's week.
        event(GENERATED, ASK, "r3", "2025-06-28T23:59:59Z"),
        event(GENERATED, ASK, "r3", "2025-06-29T00:00:01Z"),
        event(UP, ASK, "r3", "2025-06-30T08:00:00Z"),
        // r4: up and clear at the same instant: the server's time decides, then the version.
        event(GENERATED, ASK, "r4", early),
        event(UP, ASK, "r4", "2025-06-23T11:00:01Z").client("2025-06-23T11:00:00Z"),
        event(CLEAR, ASK, "r4", "2025-06-23T11:00:00Z").client("2025-06-23T11:00:00Z"),
        event(GENERATED, ASK, "r5", early),
        event(UP, ASK, "r5", "2025-06-23T11:00:00Z").with(|row| row.version = 7),
        event(CLEAR, ASK, "r5", "2025-06-23T11:00:00Z").with(|row| row.version = 6),
        // r6: final down without text, after a first down with an empty one.
        event(GENERATED, ASK, "r6", early),
        event(DOWN, ASK, "r6", "2025-06-23T12:00:00Z").says(""),
        event(DOWN, ASK, "r6", "2025-06-23T12:00:01Z"),
        // Not rated; and two without a request id, which are two requests.
        event(GENERATED, ASK, "r7", early),
        event(GENERATED, EMAIL, "", early),
        event(GENERATED, EMAIL, "", early),
        // A rating without a response: in no rate, but an event of its week, in which nothing else happened.
        event(UP, EMAIL, "orphan", "2025-07-07T00:00:00Z"),
        // Nobody's response: an autonomous scenario, and an agent in a scenario of people.
        event(GENERATED, AUTONOMOUS, "a1", early),
        event(UP, AUTONOMOUS, "a1", early),
        event(GENERATED, ASK, "a2", early).with(|row| row.agent = Some(192_350_003)),
        // Unknown scenario, missing scenario, unknown kind.
        event(GENERATED, 100_239_999, "u1", early),
        event(GENERATED, ASK, "u2", early).with(|row| row.scenario = None),
        event(100_239_999, ASK, "r7", early),
        event(GENERATED, ASK, "r7", early).with(|row| row.kind = None),
        // Deleted rows do not count.
        event(GENERATED, ASK, "d1", early).with(|row| row.deleted = true),
        event(DOWN, ASK, "r7", early).with(|row| row.deleted = true),
    ]
}

const RATES: &str = "\
+------------+-----------+-----------------------------------+-----------+-----------------+----+------+-------------------+---------------------+------------------+--------------------+--------------------------------+
| week_start | scenario  | scenario_label                    | responses | rated_responses | up | down | net_positive_rate | feedback_rate       | rating_events_up | rating_events_down | thumbs_down_with_verbatim_rate |
+------------+-----------+-----------------------------------+-----------+-----------------+----+------+-------------------+---------------------+------------------+--------------------+--------------------------------+
| 2025-06-22 | 100230201 | Ask a question                    | 7         | 5               | 3  | 2    | 0.6               | 0.7142857142857143  | 3                | 4                  | 0.5                            |
| 2025-06-22 | 100230203 | Write an email                    | 2         | 0               | 0  | 0    |                   | 0.0                 | 0                | 0                  |                                |
| 2025-06-22 | 100230218 | Autonomous Case Create and Update | 0         | 0               | 0  | 0    |                   |                     | 1                | 0                  |                                |
| 2025-06-22 | 100239999 |                                   | 1         | 0               | 0  | 0    |                   | 0.0                 | 0                | 0                  |                                |
| 2025-06-22 |           |                                   | 1         | 0               | 0  | 0    |                   | 0.0                 | 0                | 0                  |                                |
| 2025-06-29 | 100230201 | Ask a question                    | 0         | 0               | 0  | 0    |                   |                     | 1                | 0                  |                                |
| 2025-07-06 | 100230203 | Write an email                    | 0         | 0               | 0  | 0    |                   |                     | 1                | 0                  |                                |
+------------+-----------+-----------------------------------+-----------+-----------------+----+------+-------------------+---------------------+------------------+--------------------+--------------------------------+";

#[tokio::test]
async fn the_last_rating_of_a_request_counts_in_the_week_of_its_response() {
    let lake = TestLake::of(&ratings());
    let session = lake.session(&[]).await;
    assert_table(&answer(&session, query("feedback_rates").unwrap().sql).await, RATES);
}

#[tokio::test]
async fn a_zone_moves_what_happened_around_midnight() {
    // 23:59:59Z on a Saturday is Sunday in Berlin; in Chicago 04:00Z on a Sunday is still Saturday.
    let events = [
        event(GENERATED, ASK, "r1", "2025-06-28T23:59:59Z"),
        event(GENERATED, ASK, "r2", "2025-06-29T04:00:00Z"),
        event(UP, ASK, "r2", "2025-06-29T05:00:00Z"),
    ];
    let lake = TestLake::of(&events);
    for (zone, expected) in [
        ("UTC", ["2025-06-22 1 0", "2025-06-29 1 1"].as_slice()),
        ("Europe/Berlin", &["2025-06-29 2 1"]),
        ("America/Chicago", &["2025-06-22 2 0", "2025-06-29 0 1"]),
        ("+01:00", &["2025-06-29 2 1"]),
    ] {
        let session = lake.session(&[("tz", zone)]).await;
        let sql = query("feedback_rates").unwrap().sql;
        let sql = format!(
            "SELECT CAST(week_start AS VARCHAR) || ' ' || CAST(responses AS VARCHAR) || ' ' || \
             CAST(rating_events_up AS VARCHAR) AS line FROM ({sql}) ORDER BY line"
        );
        let text = answer(&session, &sql).await;
        let lines: Vec<_> = text.lines().skip(3).map(|line| line.trim_matches(['|', ' '])).collect();
        assert_eq!(&lines[..lines.len() - 1], expected, "{zone}");
    }
}

#[tokio::test]
async fn a_row_without_time_keeps_the_week_of_its_files() {
    let lake = TestLake::of(&[event(GENERATED, ASK, "r1", "2025-06-23").with(|row| row.created = None)]);
    let text = answer(&lake.session(&[]).await, query("feedback_rates").unwrap().sql).await;
    assert!(text.contains("| 1970-01-04 | 100230201 | Ask a question | 1 "), "{text}");
}

/// A week of responses and what became of them, with one late copy.
fn uses() -> Vec<Event> {
    let at = "2025-06-23T10:00:00Z";
    vec![
        // Generated twice, copied four times (once by a second person): one response, one use, ratio above 1.
        event(GENERATED, ASK, "r1", at),
        event(GENERATED, ASK, "r1", "2025-06-23T10:00:05Z"),
        event(COPY, ASK, "r1", at),
        event(COPY, ASK, "r1", at),
        event(MANUAL_COPY, ASK, "r1", at).by("bob"),
        // A copy without a response is Microsoft's event, not a used response.
        event(COPY, ASK, "x", at),
        event(GENERATED, ASK, "r2", at),
        // Available is no activity.
        event(AVAILABLE, ASK, "", at).by("cyd"),
        event(AVAILABLE, ASK, "", at).by("dan"),
        // E-mails: sent, kept, discarded, and one that was copied in the next week.
        event(GENERATED, EMAIL, "e1", at),
        event(SEND, EMAIL, "e1", at),
        event(GENERATED, EMAIL, "e2", at),
        event(KEEP, EMAIL, "e2", at),
        event(GENERATED, EMAIL, "e3", at),
        event(DISCARD, EMAIL, "e3", at),
        event(DISCARD, EMAIL, "no response", at),
        event(GENERATED, EMAIL, "e4", at),
        event(COPY, EMAIL, "e4", "2025-06-29T00:00:00Z").by("bob"),
        // Not people.
        event(GENERATED, AUTONOMOUS, "a1", at),
        event(COPY, ASK, "r2", at).with(|row| row.agent = Some(192_350_003)),
    ]
}

const USAGE: &str = "\
+------------+-----------+----------------+--------------+-----------+-----------------+-------------+------------------+---------------------+----------------+--------------------+-----------+---------------------+--------------+
| week_start | scenario  | scenario_label | active_users | responses | response_events | copy_events | used_event_ratio | responses_used_copy | used_copy_rate | responses_used_any | used_rate | responses_discarded | discard_rate |
+------------+-----------+----------------+--------------+-----------+-----------------+-------------+------------------+---------------------+----------------+--------------------+-----------+---------------------+--------------+
| 2025-06-22 | 100230201 | Ask a question | 2            | 2         | 3               | 4           | 1.3333333333333333 | 1                   | 0.5            | 1                  | 0.5       | 0                   |              |
| 2025-06-22 | 100230203 | Write an email | 1            | 4         | 4               | 0           | 0.0              | 1                   | 0.25           | 3                  | 0.75      | 1                   | 0.5          |
| 2025-06-29 | 100230203 | Write an email | 1            | 0         | 0               | 1           |                  | 0                   |                | 0                  |           | 0                   |              |
+------------+-----------+----------------+--------------+-----------+-----------------+-------------+------------------+---------------------+----------------+--------------------+-----------+---------------------+--------------+";

#[tokio::test]
async fn usage_counts_requests_and_microsofts_events_apart() {
    let lake = TestLake::of(&uses());
    let session = lake.session(&[]).await;
    assert_table(&answer(&session, query("scenario_usage").unwrap().sql).await, USAGE);
}

/// How often a query's plan reads the files of the first week and of the last of [`days_leave_out_files_of_other_weeks`].
async fn reads(lake: &TestLake, name: &str, params: &[(&str, &str)]) -> [usize; 2] {
    let plan = lake.session(params).await.explain(query(name).unwrap().sql).await.unwrap();
    ["2025-06-22", "2025-07-06"].map(|week| plan.matches(&format!("week_start={week}/")).count())
}

#[tokio::test]
async fn days_leave_out_files_of_other_weeks() {
    let events = ["2025-06-23T10:00:00Z", "2025-06-30T10:00:00Z", "2025-07-08T10:00:00Z"];
    let events = events.map(|created| event(DOWN, ASK, "r1", created).says("wrong"));
    let mut lake = TestLake::of(&events);
    lake.add(&PAYLOAD, &events);
    lake.add(&CONVERSATION_INSIGHT, &events);
    for name in [
        "feedback_rates",
        "scenario_usage",
        "scenario_funnel",
        "agents",
        "answer_quality",
        "verbatim_feedback",
        "interaction_content",
        "conversation_summaries",
    ] {
        let all = reads(&lake, name, &[]).await;
        let late = reads(&lake, name, &[("from", "2025-07-12")]).await;
        let early = reads(&lake, name, &[("to", "2025-06-10")]).await;
        assert!(late[0] < all[0] && late[1] == all[1], "{name}: {all:?} {late:?}");
        assert!(early[0] == all[0] && early[1] < all[1], "{name}: {all:?} {early:?}");
    }
}

/// Compares cell by cell, so that the expectation need not have the right widths.
#[track_caller]
fn assert_table(actual: &str, expected: &str) {
    let cells = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with('+'))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(actual), cells(expected), "\n{actual}");
}
