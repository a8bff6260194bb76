//! What materialized views lack: rows of any year, whole groups of rows, and made part by part with a little memory.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{CALENDAR_WEEKS, COPILOT_EVENT, COPILOT_INTERACTION, COPILOT_REQUEST, Instant, Table, Week};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use futures::TryStreamExt as _;
use tempfile::TempDir;

use super::lake::{ASK, Event, GENERATED, UP, batch, event};
use crate::materialized::parts_within;
use crate::view;
use crate::week_parts::PartLimits;

fn week(event: &Event) -> Week {
    event.created.map_or(Week::UNKNOWN, Week::of)
}

/// A lake of these events, with the folder in which it is.
async fn lake_of(events: &[Event]) -> (TempDir, Lake) {
    let directory = TempDir::new().unwrap();
    let lake = Lake::open(directory.path().to_str().unwrap(), LakeOptions::default()).await.unwrap();
    lake.prepare(&Instance::default(), false).await.unwrap();
    let mut of_weeks = BTreeMap::<Week, Vec<Event>>::new();
    for (at, event) in events.iter().enumerate() {
        let event = event.clone().with(|event| event.id = format!("e{at:06}"));
        of_weeks.entry(week(&event)).or_default().push(event);
    }
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    for (week, events) in of_weeks {
        changes.push(Some(week), batch(&events)).await.unwrap();
    }
    changes.commit("run").await.unwrap();
    (directory, lake)
}

/// The requests that the view lacks after these weeks of the newer store have changed, as [`made_after`] has them.
async fn made(lake: &Lake, changed: BTreeSet<Week>, limits: PartLimits) -> Vec<BTreeSet<String>> {
    made_after(lake, (&COPILOT_EVENT, changed), limits).await
}

/// The requests that the view lacks after these weeks of a table have changed, part by part: week, key, responses, rating,
/// time.
async fn made_after(
    lake: &Lake,
    (table, changed): (&'static Table, BTreeSet<Week>),
    limits: PartLimits,
) -> Vec<BTreeSet<String>> {
    let changed = BTreeMap::from([(table.name, changed)]);
    let mut parts = parts_within(lake, &COPILOT_REQUEST, &changed, limits).await.unwrap();
    let mut found = Vec::new();
    while let Some(mut part) = parts.try_next().await.unwrap() {
        let mut of_part = BTreeSet::new();
        while let Some(made) = part.batches.try_next().await.unwrap() {
            assert_eq!(made.removed.num_rows(), 0, "nothing is stored");
            let column = |name: &str| made.rows.column_by_name(name).unwrap();
            let (keys, ratings) = (column("request_key").as_string::<i32>(), column("rating").as_string::<i32>());
            let responses = column("responses").as_primitive::<Int64Type>();
            let times = column("row_time").as_primitive::<TimestampMicrosecondType>();
            for row in 0..made.rows.num_rows() {
                let week = made.week.unwrap();
                assert!(part.weeks.contains(&week), "{week}");
                let rating = if ratings.is_valid(row) { ratings.value(row) } else { "-" };
                let (key, responses) = (keys.value(row), responses.value(row));
                of_part.insert(format!("{week} {key} {responses} {rating} {}", Instant(times.value(row))));
            }
        }
        found.push(of_part);
    }
    found
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
    let limits = PartLimits { rows: 1, gathered_rows: 1, ..PartLimits::default() };
    let found = made(&lake, BTreeSet::from([week(&late)]), limits).await;
    // The week that changed is the last: until it is made, it tells that the other one is stale.
    let expected = [
        BTreeSet::from([
            "2025-06-01 beside 1 up 2025-06-03T10:00:00Z".to_owned(),
            "2025-06-01 rated 1 up 2025-06-02T10:00:00Z".to_owned(),
        ]),
        BTreeSet::from(["2025-06-15 newest 1 - 2025-06-18T10:00:00Z".to_owned()]),
    ];
    assert_eq!(found, expected);
    // While few groups are of several weeks, only their rows are taken from other weeks.
    let limits = PartLimits { rows: 4, gathered_rows: 1, ..PartLimits::default() };
    let found = made(&lake, BTreeSet::from([week(&late)]), limits).await;
    assert_eq!(
        found.into_iter().flatten().collect::<BTreeSet<_>>(),
        expected.into_iter().flatten().collect::<BTreeSet<_>>()
    );
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

#[test]
fn the_calendar_counts_the_weeks_that_its_table_is_made_from() {
    let (first, last) = CALENDAR_WEEKS;
    let counted = format!("week_start BETWEEN DATE '{first}' AND DATE '{last}'");
    assert!(view("calendar").unwrap().sql.contains(&counted), "{counted}");
}
