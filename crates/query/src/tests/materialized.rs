//! What materialized views lack: rows of any year, whole groups of rows, and made part by part with a little memory.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{
    AI_INTERACTION, CALENDAR_WEEKS, COPILOT_EVENT, COPILOT_INTERACTION, COPILOT_INTERACTION_DATA, COPILOT_REQUEST,
    Instant, M365_TURN, Table, Week,
};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use futures::TryStreamExt as _;
use tempfile::TempDir;

use super::lake::{ASK, DOWN, Event, GENERATED, UP, event, rows};
use crate::group_hash::hashes;
use crate::materialized::parts_within;
use crate::row_groups::RowGroups;
use crate::week_parts::{PartLimits, plan};
use crate::{Error, FreshBatch, view};

fn week(event: &Event) -> Week {
    event.created.map_or(Week::UNKNOWN, Week::of)
}

/// An empty lake, with the folder in which it is.
pub(super) async fn empty_lake() -> (TempDir, Lake) {
    let directory = TempDir::new().unwrap();
    let lake = Lake::open(directory.path().to_str().unwrap(), LakeOptions::default()).await.unwrap();
    lake.prepare(&Instance::default(), false).await.unwrap();
    (directory, lake)
}

/// A lake of these events, with the folder in which it is.
async fn lake_of(events: &[Event]) -> (TempDir, Lake) {
    let (directory, lake) = empty_lake().await;
    put(&lake, &COPILOT_EVENT, events).await;
    (directory, lake)
}

/// Commits rows whose ids are their numbers.
pub(super) async fn put(lake: &Lake, table: &'static Table, events: &[Event]) {
    let mut of_weeks = BTreeMap::<Week, Vec<Event>>::new();
    for (at, event) in events.iter().enumerate() {
        let event = event.clone().with(|event| event.id = format!("e{at:06}"));
        of_weeks.entry(week(&event)).or_default().push(event);
    }
    let mut changes = lake.changes(table, MergeMode::Upsert);
    for (week, events) in of_weeks {
        changes.push(Some(week), rows(table, &events)).await.unwrap();
    }
    changes.commit("run").await.unwrap();
}

/// The keys of rows of a view.
fn keys(view: &Table, batch: &RecordBatch) -> Vec<String> {
    let key = |row: usize| {
        let columns = view.key.iter().map(|name| batch.column_by_name(name).unwrap().as_string::<i32>().value(row));
        columns.collect::<Vec<_>>().join("/")
    };
    (0..batch.num_rows()).map(key).collect()
}

/// What a view lacks after these weeks of a table have changed, part by part. No row is made twice.
async fn lacking(
    lake: &Lake,
    view: &'static Table,
    (table, changed): (&'static Table, BTreeSet<Week>),
    limits: PartLimits,
) -> Vec<Vec<FreshBatch>> {
    let changed_weeks = BTreeMap::from([(table.name, changed.clone())]);
    let mut parts = parts_within(lake, view, &changed_weeks, limits).await.unwrap();
    let (mut found, mut made) = (Vec::new(), BTreeSet::new());
    while let Some(part) = parts.try_next().await.unwrap() {
        let batches: Vec<FreshBatch> = part.batches.try_collect().await.unwrap();
        for batch in &batches {
            // Linked groups are made as a whole, whichever of their weeks have changed.
            let is_stale = |week| part.weeks.contains(&week) || changed.contains(&week);
            assert!(batch.week.is_none_or(is_stale), "{:?}", batch.week);
            for key in keys(view, &batch.rows) {
                assert!(made.insert(key.clone()), "{key} is made twice");
            }
        }
        found.push(batches);
    }
    found
}

/// The requests that the view lacks after these weeks of the newer store have changed, as [`made_after`] has them.
async fn made(lake: &Lake, changed: BTreeSet<Week>, limits: PartLimits) -> Vec<BTreeSet<String>> {
    made_after(lake, (&COPILOT_EVENT, changed), limits).await
}

/// The requests that the view lacks after these weeks of a table have changed, part by part: week, key, responses, rating,
/// time.
async fn made_after(
    lake: &Lake,
    changed: (&'static Table, BTreeSet<Week>),
    limits: PartLimits,
) -> Vec<BTreeSet<String>> {
    let mut found = Vec::new();
    for part in lacking(lake, &COPILOT_REQUEST, changed, limits).await {
        let mut of_part = BTreeSet::new();
        for made in part {
            assert_eq!(made.removed.num_rows(), 0, "nothing is stored");
            let column = |name: &str| made.rows.column_by_name(name).unwrap();
            let (keys, ratings) = (column("request_key").as_string::<i32>(), column("rating").as_string::<i32>());
            let responses = column("responses").as_primitive::<Int64Type>();
            let times = column("row_time").as_primitive::<TimestampMicrosecondType>();
            for row in 0..made.rows.num_rows() {
                let rating = if ratings.is_valid(row) { ratings.value(row) } else { "-" };
                let (week, key, responses) = (made.week.unwrap(), keys.value(row), responses.value(row));
                of_part.insert(format!("{week} {key} {responses} {rating} {}", Instant(times.value(row))));
            }
        }
        found.push(of_part);
    }
    found
}

/// The hashes of the groups whose rows a part takes from other weeks, too, after these weeks of the newer store have
/// changed; `None`: it takes all rows there.
async fn linked(lake: &Lake, changed: BTreeSet<Week>, limits: PartLimits) -> Option<BTreeSet<u64>> {
    let groups = RowGroups::of_view(&COPILOT_REQUEST).unwrap();
    let plan = plan(lake, groups, &BTreeMap::from([(COPILOT_EVENT.name, changed)]), limits).await.unwrap();
    plan.linked.map(|groups| groups.iter().copied().collect())
}

/// Stores rows of a view, as a run does.
pub(super) async fn store(lake: &Lake, view: &'static Table, parts: Vec<Vec<FreshBatch>>) {
    let mut changes = lake.changes(view, MergeMode::Upsert);
    for FreshBatch { week, rows, .. } in parts.into_iter().flatten() {
        let mut columns = rows.columns().to_vec();
        let times = TimestampMicrosecondArray::from(vec![0; rows.num_rows()]).with_timezone("UTC");
        columns[view.layout().position("extracted_at").unwrap()] = Arc::new(times);
        changes.push(week, RecordBatch::try_new(rows.schema(), columns).unwrap()).await.unwrap();
    }
    changes.commit("run").await.unwrap();
}

/// Stores a view, changes the table that it is made from, and returns the keys of the rows that it has then, and of those
/// that it no longer has; all in shares of one row.
async fn keys_after_change(
    lake: &Lake,
    view: &'static Table,
    source: (&'static Table, BTreeSet<Week>),
    change: impl AsyncFnOnce(),
) -> (Vec<String>, Vec<String>) {
    let limits = PartLimits { rows: 1, gathered_rows: 1, ..PartLimits::default() };
    let before = lacking(lake, view, source.clone(), limits).await;
    store(lake, view, before).await;
    change().await;
    let (mut made, mut removed) = (Vec::new(), Vec::new());
    for batch in lacking(lake, view, source, limits).await.into_iter().flatten() {
        made.extend(keys(view, &batch.rows));
        removed.extend(keys(view, &batch.removed));
    }
    made.sort();
    (made, removed)
}

/// Prompts to Microsoft 365 Copilot in one session, each with its request.
pub(super) async fn put_prompts(lake: &Lake, time: Instant, requests: &[&str]) {
    let schema = AI_INTERACTION.layout().schema();
    let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; requests.len()])) };
    let arrays = schema.fields().iter().map(|field| match field.name().as_str() {
        "user_id" => texts("user"),
        "session_id" => texts("session"),
        "interaction_type" => texts("userPrompt"),
        "interaction_id" => Arc::new(StringArray::from_iter_values((0..requests.len()).map(|at| format!("i{at}")))),
        "request_id" => Arc::new(StringArray::from(requests.to_vec())),
        "created_at" | "row_time" | "extracted_at" => {
            Arc::new(TimestampMicrosecondArray::from(vec![time.0; requests.len()]).with_timezone("UTC"))
        }
        _ => new_null_array(field.data_type(), requests.len()),
    });
    let batch = RecordBatch::try_new(Arc::clone(schema), arrays.collect()).unwrap();
    let mut changes = lake.changes(&AI_INTERACTION, MergeMode::Upsert);
    changes.push(Some(Week::of(time)), batch).await.unwrap();
    changes.commit("run").await.unwrap();
}

#[tokio::test]
async fn instants_of_any_year_are_kept() {
    // The first is what a time without a value is in .NET.
    let events =
        [event(GENERATED, ASK, "first", "0001-01-01T00:00:00Z"), event(GENERATED, ASK, "last", "9999-12-31T23:00:00Z")];
    let (_directory, lake) = lake_of(&events).await;
    let found = made(&lake, events.iter().map(week).collect(), PartLimits::default()).await;
    let expected = [
        format!("{} first 1 - 0001-01-01T00:00:00Z", week(&events[0])),
        format!("{} last 1 - 9999-12-31T23:00:00Z", week(&events[1])),
    ];
    assert_eq!(found, [BTreeSet::from(expected)]);
}

#[tokio::test]
async fn weeks_of_a_group_are_made_from_all_of_its_rows_and_others_are_not_made() {
    let late = event(UP, ASK, "rated", "2025-06-17T10:00:00Z");
    let events = [
        event(GENERATED, ASK, "rated", "2025-06-02T10:00:00Z"),
        event(GENERATED, ASK, "beside", "2025-06-03T10:00:00Z"),
        event(GENERATED, ASK, "between", "2025-06-10T10:00:00Z"),
        // Of a week that is not made, but belongs to a row of one that is.
        event(UP, ASK, "beside", "2025-06-11T10:00:00Z"),
        late.clone(),
        event(GENERATED, ASK, "newest", "2025-06-18T10:00:00Z"),
    ];
    let (_directory, lake) = lake_of(&events).await;
    let limits = PartLimits { rows: 1, linked_rows: 1, gathered_rows: 1, ..PartLimits::default() };
    let found = made(&lake, BTreeSet::from([week(&late)]), limits).await;
    assert_eq!(linked(&lake, BTreeSet::from([week(&late)]), limits).await, None);
    let expected = [
        BTreeSet::from([
            "2025-06-01 beside 1 up 2025-06-03T10:00:00Z".to_owned(),
            "2025-06-01 rated 1 up 2025-06-02T10:00:00Z".to_owned(),
        ]),
        BTreeSet::from(["2025-06-15 newest 1 - 2025-06-18T10:00:00Z".to_owned()]),
    ];
    // Both weeks are made from all rows of all three.
    assert_eq!(found, [expected.iter().flatten().cloned().collect()]);
    // While few groups are of several weeks, only their rows are taken from other weeks, and nothing else is made there. The
    // week that changed is the last: until it is made, it tells what is stale elsewhere.
    let groups = linked(&lake, BTreeSet::from([week(&late)]), PartLimits::default()).await;
    let rated: ArrayRef = Arc::new(StringArray::from(vec!["rated"]));
    assert_eq!(groups, Some(hashes(&[rated]).unwrap().into_iter().collect()));
    let [mut of_links, changed] = expected;
    of_links.retain(|row| row.contains("rated"));
    assert_eq!(made(&lake, BTreeSet::from([week(&late)]), PartLimits::default()).await, [of_links, changed]);
}

#[tokio::test]
async fn a_request_that_had_a_row_between_its_first_and_its_last_week_is_made_again() {
    let events = |request: &'static str| {
        [
            event(GENERATED, ASK, "request", "2025-06-03T10:00:00Z"),
            event(GENERATED, ASK, request, "2025-06-10T10:00:00Z"),
            event(UP, ASK, "request", "2025-06-17T10:00:00Z"),
        ]
    };
    let first = events("request");
    let (_directory, lake) = lake_of(&first).await;
    let all = first.iter().map(week).collect();
    let stored = lacking(&lake, &COPILOT_REQUEST, (&COPILOT_EVENT, all), PartLimits::default()).await;
    store(&lake, &COPILOT_REQUEST, stored).await;
    put(&lake, &COPILOT_EVENT, &events("another")).await;
    // In the changed week, nothing but the stored row of another week tells that the request had a row there.
    let expected = [
        BTreeSet::from(["2025-06-01 request 1 up 2025-06-03T10:00:00Z".to_owned()]),
        BTreeSet::from(["2025-06-08 another 1 - 2025-06-10T10:00:00Z".to_owned()]),
    ];
    assert_eq!(made(&lake, BTreeSet::from([week(&first[1])]), PartLimits::default()).await, expected);
}

#[tokio::test]
async fn a_request_whose_response_comes_later_moves_to_the_week_of_the_response_at_once() {
    let rating = event(UP, ASK, "late", "2025-06-10T10:00:00Z");
    let (_directory, lake) = lake_of(slice::from_ref(&rating)).await;
    let of_rating = (&COPILOT_EVENT, BTreeSet::from([week(&rating)]));
    let stored = lacking(&lake, &COPILOT_REQUEST, of_rating, PartLimits::default()).await;
    store(&lake, &COPILOT_REQUEST, stored).await;
    let response = event(GENERATED, ASK, "late", "2025-06-03T10:00:00Z");
    let changed = BTreeSet::from([week(&response)]);
    put(&lake, &COPILOT_EVENT, &[rating, response]).await;
    for rows in [1, 1 << 17] {
        let limits = PartLimits { rows, ..PartLimits::default() };
        // Nothing is removed: the row with the same key takes the place of the stored one.
        let expected = BTreeSet::from(["2025-06-01 late 1 up 2025-06-03T10:00:00Z".to_owned()]);
        assert_eq!(made(&lake, changed.clone(), limits).await, [expected, BTreeSet::new()]);
    }
}

#[tokio::test]
async fn a_row_without_a_request_is_made_again_after_any_change_of_the_older_store() {
    let events =
        [event(GENERATED, ASK, "", "2025-06-03T10:00:00Z"), event(GENERATED, ASK, "r", "2025-06-10T10:00:00Z")];
    let (_directory, lake) = lake_of(&events).await;
    // An older row that got a request there may have stood for it before.
    let changed = BTreeSet::from([Week::of(Instant::parse("2025-06-17T10:00:00Z").unwrap())]);
    let found = made_after(&lake, (&COPILOT_INTERACTION, changed), PartLimits::default()).await;
    assert_eq!(found, [BTreeSet::from(["2025-06-01 copilotevent:e000000 1 - 2025-06-03T10:00:00Z".to_owned()])]);
}

#[tokio::test]
async fn parts_are_made_with_a_little_memory() {
    const WEEKS: i64 = 4;
    let mut events = Vec::new();
    for at in 0..WEEKS {
        let created = Instant::parse("2025-06-02T10:00:00Z").unwrap().plus_seconds(at * 7 * Instant::DAY_SECONDS);
        for number in 0..1_500 {
            let request: &'static str = format!("request {at} {number}").leak();
            for kind in [GENERATED, UP] {
                events.push(event(kind, ASK, request, "2025-06-02").with(|event| event.created = Some(created)));
            }
        }
    }
    let (_directory, lake) = lake_of(&events).await;
    let weeks: BTreeSet<Week> = events.iter().map(week).collect();
    let whole = PartLimits::default();
    let together = made(&lake, weeks.clone(), whole).await;
    let parts = made(&lake, weeks.clone(), PartLimits { memory: 32 << 20, rows: 3_000, ..whole }).await;
    assert_eq!((together.len(), parts.len()), (1, WEEKS as usize));
    let in_shares = made(&lake, weeks, PartLimits { rows: 1_000, ..whole }).await;
    assert_eq!(in_shares, parts, "a week in shares of its requests");
    assert!(parts.iter().all(|part| part.len() == 1_500 && part.iter().all(|row| row.contains(" 1 up "))));
    assert_eq!(parts.into_iter().flatten().collect::<BTreeSet<_>>(), together[0]);
}

#[tokio::test]
async fn a_request_that_no_row_has_any_more_is_removed_by_the_share_that_it_belongs_to() {
    let events = |requests: &[&'static str]| -> Vec<Event> {
        requests.iter().map(|request| event(GENERATED, ASK, request, "2025-06-03T10:00:00Z")).collect()
    };
    let first = events(&["a", "b", "c", "d", "gone"]);
    let (_directory, lake) = lake_of(&first).await;
    let source = (&COPILOT_EVENT, BTreeSet::from([week(&first[0])]));
    let change = async || put(&lake, &COPILOT_EVENT, &events(&["a", "b", "c", "d", "d"])).await;
    let (made, removed) = keys_after_change(&lake, &COPILOT_REQUEST, source, change).await;
    assert_eq!((made, removed), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), vec!["gone".to_owned()]));
}

#[tokio::test]
async fn a_turn_that_no_row_has_any_more_is_removed_by_the_share_that_it_belongs_to() {
    let time = Instant::parse("2025-06-03T10:00:00Z").unwrap();
    let (_directory, lake) = empty_lake().await;
    put_prompts(&lake, time, &["a", "b", "c", "d", "gone"]).await;
    let source = (&AI_INTERACTION, BTreeSet::from([Week::of(time)]));
    let change = async || put_prompts(&lake, time, &["a", "b", "c", "d", "d"]).await;
    let (made, removed) = keys_after_change(&lake, &M365_TURN, source, change).await;
    let expected = ["a", "b", "c", "d"].map(|request| format!("user/session/{request}")).to_vec();
    assert_eq!((made, removed), (expected, vec!["user/session/gone".to_owned()]));
}

#[tokio::test]
async fn joins_take_more_memory_than_sorts_where_the_data_needs_it() {
    let time = "2025-06-03T10:00:00Z";
    let text: &'static str = "too long ".repeat(450).leak();
    let texts: Vec<Event> = (0..10_000).map(|_| event(DOWN, ASK, "", time).says(text)).collect();
    let rated = event(DOWN, ASK, "rated", time).with(|event| event.data = Some("e000000"));
    let (_directory, lake) = empty_lake().await;
    put(&lake, &COPILOT_INTERACTION_DATA, &texts).await;
    put(&lake, &COPILOT_INTERACTION, slice::from_ref(&rated)).await;
    let changed = BTreeSet::from([week(&rated)]);
    let limits = PartLimits { memory: 24 << 20, ..PartLimits::default() };
    let found = made_after(&lake, (&COPILOT_INTERACTION, changed.clone()), limits).await;
    assert_eq!(found, [BTreeSet::from(["2025-06-01 rated 0 down 2025-06-03T10:00:00Z".to_owned()])]);
    // A join holds all 40 MB of texts.
    let limits = PartLimits { unspillable: limits.memory, ..limits };
    let changed = BTreeMap::from([(COPILOT_INTERACTION.name, changed)]);
    let mut parts = parts_within(&lake, &COPILOT_REQUEST, &changed, limits).await.unwrap();
    let part = parts.try_next().await.unwrap().unwrap();
    let made = part.batches.try_collect::<Vec<FreshBatch>>().await;
    assert!(matches!(made, Err(Error::OutOfMemory(_))));
}

#[test]
fn the_calendar_counts_the_weeks_that_its_table_is_made_from() {
    let (first, last) = CALENDAR_WEEKS;
    let counted = format!("week_start BETWEEN DATE '{first}' AND DATE '{last}'");
    assert!(view("calendar").unwrap().sql.contains(&counted), "{counted}");
}
