//! `copilot_activity` over both stores: what is activity once, where its text comes from, and what is read for it.

use std::collections::BTreeMap;

use copilot_lake_tables::{COPILOT_EVENT, COPILOT_INTERACTION, COPILOT_INTERACTION_DATA, Instant, Table};

use super::lake::{ASK, AUTONOMOUS, AVAILABLE, COPY, DOWN, Event, GENERATED, SEND, TestLake, UP, answer, event};
use crate::{Session, query};

const DAY: &str = "2025-06-24T10:00:00Z";
const LATER: &str = "2025-08-05T09:00:00Z";

/// A lake of these rows: newer store, older store, the older one's feedback.
fn lake(newer: &[Event], older: &[Event], feedback: &[Event]) -> TestLake {
    let mut lake = TestLake::of(newer);
    lake.add(&COPILOT_INTERACTION, older);
    lake.add(&COPILOT_INTERACTION_DATA, feedback);
    lake
}

/// An action at a moment of the representative's clock.
fn act(id: &str, kind: i32, request: &'static str) -> Event {
    event(kind, ASK, request, DAY).client(DAY).with(|row| row.id = id.to_owned())
}

/// A row of the older store's feedback.
fn text(id: &str, verbatim: &'static str) -> Event {
    act(id, DOWN, "").says(verbatim)
}

/// The cells of each row, joined by a blank; nulls are `-`.
async fn lines(session: &Session, sql: &str) -> Vec<String> {
    let text = answer(session, sql).await;
    let rows = text.lines().skip(3).filter(|line| !line.starts_with('+'));
    let cell = |cell: &str| if cell.trim().is_empty() { "-".to_owned() } else { cell.trim().to_owned() };
    rows.map(|line| line.trim_matches('|').split('|').map(cell).collect::<Vec<_>>().join(" ")).collect()
}

/// Store, id and text of each row of the view.
async fn activity(lake: &TestLake) -> Vec<String> {
    let sql = "SELECT CASE source_table WHEN 'copilotevent' THEN 'newer' WHEN 'copilotinteraction' THEN 'older' END AS s, \
               event_id, verbatim FROM copilot_activity ORDER BY s, event_id, partition_id";
    lines(&lake.session(&[]).await, sql).await
}

#[tokio::test]
async fn rows_of_both_stores_have_the_same_columns() {
    let newer = act("n", DOWN, "r1").says("wrong").with(|row| row.maker = Some("bob"));
    let older = [
        act("o", DOWN, "r2").with(|row| row.data = Some("d")),
        event(AVAILABLE, AUTONOMOUS, "", DAY).with(|row| row.scenario = None),
    ];
    let lake = lake(&[newer], &older, &[text("d", "late")]);
    let session = lake.session(&[]).await;
    let columns = "source_table, event_id, partition_id, request_id, request_key, scenario, scenario_label, kind, \
                   kind_label, agent, is_human, user_id, client_ts, created_ts, version_number, verbatim, \
                   transcript_data_id, ctx_streaming_state, week_start";
    let rows = lines(&session, &format!("SELECT {columns} FROM copilot_activity ORDER BY event_id DESC")).await;
    let times = "2025-06-24T10:00:00Z 2025-06-24T10:00:00Z 1";
    let what = "100230201 Ask a question 100230302 ThumbsDown - true";
    assert_eq!(
        rows,
        [
            format!("copilotinteraction o - r2 r2 {what} ann {times} late r2 msdyn_copilotinteraction 2025-06-22"),
            format!("copilotevent n p r1 r1 {what} bob {times} wrong r1 msdyn_copilotevent 2025-06-22"),
            "copilotinteraction e001 - - copilotinteraction:e001 - - 100230309 Available - true ann - \
             2025-06-24T10:00:00Z 1 - - msdyn_copilotinteraction 2025-06-22"
                .to_owned(),
        ]
    );
}

#[tokio::test]
async fn an_interaction_of_both_stores_is_told_once() {
    let older = act("o", COPY, "r1");
    let late = |row: &mut Event| row.created = Instant::parse(LATER);
    for newer in [act("o", COPY, "r1"), act("n", COPY, "r1"), act("n", COPY, "r1").with(late)] {
        let lake = lake(std::slice::from_ref(&newer), std::slice::from_ref(&older), &[]);
        assert_eq!(activity(&lake).await, [format!("newer {} -", newer.id)]);
    }
    let changes: [fn(&mut Event); 9] = [
        |row| row.request = Some("r2"),
        |row| row.request = None,
        |row| row.scenario = Some(AUTONOMOUS),
        |row| row.scenario = None,
        |row| row.kind = Some(SEND),
        |row| row.kind = None,
        |row| row.client = Instant::parse("2025-06-24T10:00:01Z"),
        |row| row.client = None,
        |row| row.maker = Some("bob"),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let lake = lake(&[act("o", COPY, "r1").with(change)], std::slice::from_ref(&older), &[]);
        assert_eq!(activity(&lake).await, ["newer o -", "older o -"], "change {at}");
    }
}

#[tokio::test]
async fn identical_actions_of_one_store_are_as_many_as_they_were() {
    for (newer, older, left) in [(0, 2, 2), (2, 0, 0), (1, 2, 1), (2, 1, 0), (2, 2, 0), (2, 5, 3)] {
        let rows = |count: usize| (0..count).map(|at| act(&format!("i{at}"), COPY, "r1")).collect::<Vec<_>>();
        let lines = activity(&lake(&rows(newer), &rows(older), &[])).await;
        let count = |store| lines.iter().filter(|line| line.starts_with(store)).count();
        assert_eq!((count("newer"), count("older")), (newer, left), "{newer} and {older}");
    }
}

#[tokio::test]
async fn without_a_request_only_whole_rows_are_the_same() {
    let missing: [fn(&mut Event); 5] =
        [|_| {}, |row| row.scenario = None, |row| row.kind = None, |row| row.client = None, |row| row.user = ""];
    for (at, change) in missing.into_iter().enumerate() {
        for (newer, older) in [("r1", "r1"), ("", "")] {
            let rows = |request| [act("i", AVAILABLE, request).with(change)];
            let once = at == 0 || newer == "r1";
            let expected: &[&str] = if once { &["newer i -"] } else { &["newer i -", "older i -"] };
            assert_eq!(
                activity(&lake(&rows(newer), &rows(older), &[])).await,
                expected,
                "change {at}, request '{newer}'"
            );
        }
    }
    // An empty request is none.
    let lake = lake(&[act("i", COPY, "").with(|row| row.request = Some(""))], &[act("i", COPY, "")], &[]);
    assert_eq!(activity(&lake).await, ["newer i -"]);
}

#[tokio::test]
async fn text_comes_from_whichever_table_has_it() {
    let old = |id, data| act(id, DOWN, "r1").with(|row| row.data = Some(data));
    let new = |id| act(id, DOWN, "r1");
    let texts =
        [text("d1", "one"), text("d2", "two"), text("empty", ""), text("none", "").with(|row| row.verbatim = None)];
    let cases: [(&[Event], &[Event], &[&str]); 8] = [
        (&[], &[old("o", "d1")], &["older o one"]),
        (&[], &[old("o", "empty"), old("p", "none"), old("q", "lost")], &["older o -", "older p -", "older q -"]),
        // The pair's text, if its event has none; the event's own text stays.
        (&[new("n")], &[old("o", "d1")], &["newer n one"]),
        (&[new("n").says("")], &[old("o", "d1")], &["newer n one"]),
        (&[new("n").says("new")], &[old("o", "d1")], &["newer n new"]),
        // A text is activity once.
        (&[new("m"), new("n").says("one")], &[old("o", "none"), old("p", "d1")], &["newer m -", "newer n one"]),
        (&[new("n")], &[old("o", "none"), old("p", "d1")], &["newer n one", "older o -"]),
        (&[new("n")], &[old("o", "d1"), old("p", "d2")], &["newer n one", "older p two"]),
    ];
    for (newer, older, expected) in cases {
        assert_eq!(activity(&lake(newer, older, &texts)).await, expected);
    }
}

#[tokio::test]
async fn what_the_service_deleted_is_not_told() {
    let gone = |row: Event| row.with(|row| row.deleted = true);
    let old = || act("o", DOWN, "r1").with(|row| row.data = Some("d"));
    let new = || act("n", DOWN, "r1");
    let text = || text("d", "late");
    let cases: [(Event, Event, Event, &[&str]); 4] = [
        (new(), old(), gone(text()), &["newer n -"]),
        (new(), gone(old()), text(), &["newer n -"]),
        (gone(new()), old(), text(), &["older o late"]),
        (gone(new()), gone(old()), gone(text()), &[]),
    ];
    for (newer, older, feedback, expected) in cases {
        assert_eq!(activity(&lake(&[newer], &[older], &[feedback])).await, expected);
    }
}

#[tokio::test]
async fn each_store_alone_is_told() {
    let rows = [act("a", COPY, "r1"), act("b", DOWN, "r1").with(|row| row.data = Some("d"))];
    assert_eq!(activity(&lake(&rows, &[], &[])).await, ["newer a -", "newer b -"]);
    assert_eq!(activity(&lake(&[], &rows, &[])).await, ["older a -", "older b -"]);
    assert_eq!(activity(&lake(&[], &[], &[text("d", "late")])).await, [""; 0]);
    assert_eq!(activity(&lake(&[], &rows, &[text("d", "late")])).await, ["older a -", "older b late"]);
    assert_eq!(activity(&lake(&rows, &[], &[text("d", "late")])).await, ["newer a -", "newer b -"]);
}

#[tokio::test]
async fn a_moved_interaction_counts_once_in_the_shipped_questions() {
    let old = [act("g", GENERATED, "r1"), act("d", DOWN, "r1").with(|row| row.data = Some("d")), act("c", COPY, "r1")];
    let lakes = [lake(&old, &old, &[text("d", "wrong")]), lake(&[], &old, &[text("d", "wrong")])];
    for (name, expected) in [
        ("feedback_rates", "2025-06-22 100230201 Ask a question 1 1 0 1 0.0 1.0 0 1 1.0"),
        ("scenario_usage", "2025-06-22 100230201 Ask a question 1 1 1 1 1.0 1 1.0 1 1.0 0 -"),
    ] {
        for lake in &lakes {
            assert_eq!(lines(&lake.session(&[]).await, query(name).unwrap().sql).await, [expected], "{name}");
        }
    }
}

/// Of each scan of a table in the plan: whether it reads that column, and which weeks.
fn scans<'a>(plan: &'a str, table: &Table, column: &str) -> Vec<(bool, Vec<&'a str>)> {
    let start = format!("{}/week_start=", table.name);
    let lines = plan.lines().filter(|line| line.contains(&start));
    lines.map(|line| (line.contains(column), line.split(&start).skip(1).map(|rest| &rest[..10]).collect())).collect()
}

#[tokio::test]
async fn a_week_leaves_files_out_and_what_is_compared_is_narrow() {
    let weeks = ["2025-06-22", "2025-06-29", "2025-07-06"];
    let rows: Vec<_> = weeks.iter().map(|week| event(UP, ASK, "r1", week).client(week)).collect();
    let both = lake(&rows, &rows, &[text("d", "late")]);
    let session = both.session(&[]).await;
    let sql =
        "SELECT user_id, ctx_streaming_state, verbatim FROM copilot_activity WHERE week_start = DATE '2025-06-29'";
    let plan = session.explain(sql).await.unwrap();
    for table in [&COPILOT_EVENT, &COPILOT_INTERACTION] {
        let mut scans = scans(&plan, table, "context_streaming_state");
        scans.sort_unstable();
        let narrow = (false, weeks.to_vec());
        assert_eq!(scans, [narrow.clone(), narrow, (true, vec![weeks[1]])], "{}: {plan}", table.name);
    }
    // The side that is written first is the one in memory: never the rows that are activity.
    let plan = session.explain("SELECT * FROM copilot_activity").await.unwrap();
    for join in plan.lines().filter(|line| line.contains("Join")) {
        let kinds = ["join_type=Inner", "join_type=Right,"];
        assert!(join.contains("HashJoinExec") && kinds.iter().any(|kind| join.contains(kind)), "{join}");
    }
    // Nothing is compared with a store that is not there.
    for lake in [lake(&rows, &[], &[text("d", "late")]), lake(&[], &rows, &[])] {
        let plan = lake.session(&[]).await.explain("SELECT * FROM copilot_activity").await.unwrap();
        assert!(!plan.contains("Join"), "{plan}");
    }
}

#[tokio::test]
async fn one_row_is_found_by_its_keys() {
    let rows = [act("i", COPY, "r1"), act("j", COPY, "r2")];
    let lakes = [lake(&rows, &rows, &[]), lake(&rows, &rows, &[text("d", "late")])];
    for lake in &lakes {
        for condition in ["event_id = 'i'", "request_id = 'r1'", "request_key = 'r1' AND partition_id = 'p'"] {
            let sql = format!("SELECT source_table, event_id FROM copilot_activity WHERE {condition}");
            assert_eq!(lines(&lake.session(&[]).await, &sql).await, ["copilotevent i"], "{condition}");
        }
    }
}

/// Rows of few values, so that they often agree, from a seed.
struct Random(u64);

impl Random {
    /// `splitmix64`, below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    fn one<T: Clone>(&mut self, values: &[T]) -> T {
        values[usize::try_from(self.below(values.len() as u64)).unwrap()].clone()
    }

    fn rows(&mut self, table: &Table) -> Vec<Event> {
        (0..self.below(60))
            .map(|at| {
                let mut row = event(COPY, ASK, "", self.one(&[DAY, LATER]));
                row.id = format!("i{}", if table.key.len() == 2 { at / 2 } else { at });
                row.partition = if at % 2 == 0 { "p" } else { "q" };
                row.request = self.one(&[None, None, Some(""), Some("r1"), Some("r2")]);
                row.scenario = self.one(&[None, Some(ASK), Some(ASK), Some(AUTONOMOUS)]);
                row.kind = self.one(&[None, Some(DOWN), Some(DOWN)]);
                row.client = self.one(&[None, Instant::parse(DAY), Instant::parse(DAY), Instant::parse(LATER)]);
                row.user = self.one(&["ann", "ann", "bob", ""]);
                row.maker = self.one(&[None, None, Some("ann")]);
                row.data = self.one(&[None, Some("i1"), Some("i2"), Some("i3"), Some("i4"), Some("i99")]);
                row.verbatim = self.one(&[None, None, Some(""), Some("one"), Some("two")]);
                row.deleted = self.below(6) == 0;
                row
            })
            .collect()
    }
}

/// What makes two rows one interaction.
type Identity<'a> = (Option<&'a str>, Option<i32>, Option<i32>, Option<Instant>, Option<&'a str>);

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// What the view should tell, worked out row by row.
fn model(newer: &[Event], older: &[Event], feedback: &[Event]) -> Vec<String> {
    let text_of = |row: &Event| {
        let data = feedback.iter().find(|data| Some(data.id.as_str()) == row.data && !data.deleted);
        data.and_then(|data| filled(data.verbatim))
    };
    let mut groups: BTreeMap<Identity<'_>, [Vec<_>; 2]> = BTreeMap::new();
    for (store, rows) in [newer, older].into_iter().enumerate() {
        for row in rows.iter().filter(|row| !row.deleted) {
            let user = filled(Some(row.user));
            let (user, text) = match store {
                0 => (row.maker.or(user), filled(row.verbatim)),
                _ => (user, text_of(row)),
            };
            let identity = (filled(row.request), row.scenario, row.kind, row.client, user);
            groups.entry(identity).or_default()[store].push((text.is_none(), &row.id, row.partition, text));
        }
    }
    let mut activity = Vec::new();
    for ((request, scenario, kind, client, user), [mut newer, mut older]) in groups {
        let comparable = request.is_some() || scenario.and(kind).and(client).and(user).is_some();
        newer.sort_unstable();
        older.sort_unstable();
        for (place, (_, id, _, text)) in newer.iter().enumerate() {
            let late = older.get(place).filter(|_| comparable).and_then(|row| row.3);
            activity.push(format!("newer {id} {}", text.or(late).unwrap_or("-")));
        }
        let moved = if comparable { newer.len() } else { 0 };
        for (_, id, _, text) in older.iter().skip(moved) {
            activity.push(format!("older {id} {}", text.unwrap_or("-")));
        }
    }
    activity.sort_unstable();
    activity
}

#[tokio::test]
async fn random_stores_are_told_as_the_model_says() {
    let mut random = Random(3);
    for round in 0..12 {
        let tables = [&COPILOT_EVENT, &COPILOT_INTERACTION, &COPILOT_INTERACTION_DATA];
        let [newer, older, feedback] = tables.map(|table| random.rows(table));
        let mut lines = activity(&lake(&newer, &older, &feedback)).await;
        lines.sort_unstable();
        assert_eq!(lines, model(&newer, &older, &feedback), "round {round}");
    }
}
