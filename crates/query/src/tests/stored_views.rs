//! Sessions that read the stored rows of materialized views: they answer as if the views' SQL had computed them.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use copilot_lake_tables::{
    AI_INTERACTION, CALENDAR, COPILOT_EVENT, COPILOT_REQUEST, Instant, M365_TURN, Table, Week, views,
};
use copilot_lake_writer::Lake;
use futures::TryStreamExt as _;
use tempfile::TempDir;

use super::lake::{ASK, CLEAR, COPY, EMAIL, GENERATED, UP, answer, event};
use super::materialized::{empty_lake, put, put_prompts, store};
use crate::{
    FreshBatch, FreshPart, QUERIES, Session, Shipped, fresh_parts, materialized_views_in, query, view, view_definition,
};

/// A lake of both services, and all materialized views of it.
pub(super) async fn lake_with_views() -> (TempDir, Lake) {
    let (directory, lake) = empty_lake().await;
    let events = [
        event(GENERATED, ASK, "rated", "2025-06-23T10:00:00.123456Z"),
        event(UP, ASK, "rated", "2025-06-30T10:00:00Z"),
        event(GENERATED, EMAIL, "cleared", "2025-06-30T10:00:00Z").by("bob"),
        event(CLEAR, EMAIL, "cleared", "2025-06-30T10:00:01Z").by("bob"),
        event(COPY, ASK, "", "2025-07-08T10:00:00Z"),
    ];
    put(&lake, &COPILOT_EVENT, &events).await;
    put_prompts(&lake, Instant::parse("2025-06-24T10:00:00Z").unwrap(), &["a", "b"]).await;
    for (view, source) in
        [(&COPILOT_REQUEST, &COPILOT_EVENT), (&M365_TURN, &AI_INTERACTION), (&CALENDAR, &COPILOT_EVENT)]
    {
        let weeks: BTreeSet<Week> = lake.weeks(source).await.unwrap().into_iter().collect();
        let changed = BTreeMap::from([(source.name, weeks)]);
        let mut parts = fresh_parts(&lake, view, &changed).await.unwrap();
        let mut made: Vec<Vec<FreshBatch>> = Vec::new();
        while let Some(FreshPart { batches, .. }) = parts.try_next().await.unwrap() {
            made.push(batches.try_collect().await.unwrap());
        }
        store(&lake, view, made).await;
    }
    (directory, lake)
}

async fn open(lake: &Lake, current: &[&'static Table]) -> Session {
    Session::open(lake, &BTreeMap::new(), current).await.unwrap()
}

/// The columns of an answer, with their types.
async fn columns(session: &Session, sql: &str) -> Vec<(String, DataType)> {
    let (schema, _) = session.sql(sql).await.unwrap();
    schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

/// The rows of an answer in words, sorted.
async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let table = answer(session, sql).await;
    let mut rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).skip(1).map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn stored_rows_answer_as_computed_ones_do() {
    let (_directory, lake) = lake_with_views().await;
    let all: Vec<_> = views().collect();
    let (computed, stored) = (open(&lake, &[]).await, open(&lake, &all).await);
    for view in all {
        let sql = format!("SELECT * FROM {} ORDER BY {}", view.name, view.key.join(", "));
        let (of_computed, of_stored) = (computed.explain(&sql).await.unwrap(), stored.explain(&sql).await.unwrap());
        let own_files = format!("{}/", view.name);
        assert!(of_stored.contains(&own_files) && !of_computed.contains(&own_files), "{of_computed}\n{of_stored}");
        assert_eq!(columns(&stored, &sql).await, columns(&computed, &sql).await, "{}", view.name);
        let of_stored = rows(&stored, &sql).await;
        assert!(of_stored.len() > 1, "{of_stored:?}");
        assert_eq!(of_stored, rows(&computed, &sql).await, "{}", view.name);
    }
    for query in QUERIES.iter().filter(|query| !materialized_views_in(query.sql).is_empty()) {
        assert_eq!(rows(&stored, query.sql).await, rows(&computed, query.sql).await, "{}", query.name);
    }
    let plan = stored.explain("SELECT * FROM copilot_request WHERE week_start = DATE '2025-07-06'").await.unwrap();
    assert!(plan.contains("week_start=2025-07-06/") && !plan.contains("week_start=2025-06-22/"), "{plan}");
}

#[tokio::test]
async fn days_leave_out_stored_rows_of_other_weeks() {
    let (_directory, lake) = lake_with_views().await;
    let all: Vec<_> = views().collect();
    for (day, date, names, read, left_out) in [
        (
            "from",
            "2025-07-12",
            ["feedback_rates", "scenario_usage", "scenario_funnel", "auto_prompts", "agents"].as_slice(),
            &["copilot_request/week_start=2025-06-29/", "copilot_request/week_start=2025-07-06/"][..],
            "copilot_request/week_start=2025-06-22/",
        ),
        ("to", "2025-06-01", &["m365_prompts", "m365_active_users", "m365_response_time"], &[], "m365_turn/"),
        ("from", "2025-07-12", &["m365_grounding"], &[], "m365_turn/"),
    ] {
        let params = BTreeMap::from([(day.to_owned(), date.to_owned())]);
        let session = Session::open(&lake, &params, &all).await.unwrap();
        for name in names {
            let plan = session.explain(query(name).unwrap().sql).await.unwrap();
            assert!(read.iter().all(|files| plan.contains(files)) && !plan.contains(left_out), "{name}: {plan}");
        }
    }
}

#[tokio::test]
async fn a_view_without_rows_is_read_as_it_is_stored() {
    let (_directory, lake) = empty_lake().await;
    let all: Vec<_> = views().collect();
    let (computed, stored) = (open(&lake, &[]).await, open(&lake, &all).await);
    for view in all {
        let sql = format!("SELECT * FROM {}", view.name);
        assert_eq!(columns(&stored, &sql).await, columns(&computed, &sql).await, "{}", view.name);
        assert_eq!(rows(&stored, &sql).await, rows(&computed, &sql).await, "{}", view.name);
    }
}

#[test]
fn the_views_that_a_text_may_read_are_found_by_its_words() {
    for (text, expected) in [
        ("FROM FEEDBACK_RATES", ["copilot_request"].as_slice()),
        ("SELECT count(*) FROM copilot_activity", &[]),
        ("SELECT * FROM m365_segments", &["m365_turn"]),
        ("SELECT * FROM calendar JOIN m365_turn ON date = CAST(started_at AS DATE)", &["m365_turn", "calendar"]),
        ("SHOW TABLES", &[]),
    ] {
        let found: Vec<_> = materialized_views_in(text).into_iter().map(|view| view.name).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// The tables that a view reads, itself or by the views that it reads.
fn tables_of(shipped: &Shipped) -> BTreeSet<&'static str> {
    shipped.tables().into_iter().flat_map(|name| view(name).map_or_else(|| BTreeSet::from([name]), tables_of)).collect()
}

#[test]
fn the_definition_of_a_view_is_all_of_its_sql() {
    assert_eq!(views().map(view_definition).collect::<BTreeSet<_>>().len(), views().count());
    for table in views() {
        let shipped = view(table.name).unwrap();
        let known = table.view_of().unwrap().iter().copied().collect();
        assert!(tables_of(shipped).is_subset(&known), "{}: its rows depend on others than {known:?}", table.name);
        let code = shipped.code();
        assert!(code.lines().all(|line| !line.trim_start().starts_with("--")), "{code}");
        assert!(tables_of(shipped).iter().all(|name| code.contains(&format!("FROM {name}"))), "{code}");
    }
}
