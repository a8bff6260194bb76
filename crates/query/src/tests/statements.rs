//! Texts as people write them: what DuckDB lets out of SQL, what columns are called, and what is wrong with a text.

use copilot_lake_tables::TABLES;

use super::lake::{ASK, TestLake, UP, answer, event, try_answer};
use crate::{Error, QUERIES, Session, VIEWS};

/// A session, and the lake, which is there as long as this is.
async fn session() -> (Session, TestLake) {
    let lake = TestLake::of(&[event(UP, ASK, "r1", "2025-06-24T10:00:00Z")]);
    (lake.session(&[]).await, lake)
}

#[tokio::test]
async fn a_table_alone_is_all_of_its_columns() {
    let (session, _lake) = session().await;
    let (all, _) = session.sql("SELECT * FROM copilot_activity").await.unwrap();
    for sql in ["from copilot_activity limit 2", "SELECT * FROM (FROM copilot_activity)"] {
        let (schema, batches) = session.sql(sql).await.unwrap();
        assert_eq!(schema.fields(), all.fields(), "{sql}");
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1, "{sql}");
    }
    let (schema, _) = session.sql("FROM copilot_activity SELECT kind, scenario").await.unwrap();
    assert_eq!(schema.fields().len(), 2);
}

#[tokio::test]
async fn columns_without_a_name_bear_the_text_that_computes_them() {
    let (session, _lake) = session().await;
    for (sql, names) in [
        (
            "SELECT MIN(created_ts), date_trunc('month', e.week_start), e.kind, count(*) \
             FROM copilot_activity e GROUP BY 2, 3 ORDER BY min(created_ts)",
            vec!["min(created_ts)", "date_trunc('month', e.week_start)", "kind", "count(*)"],
        ),
        // What a cast is called is not the column that it reads.
        (
            "SELECT cast(scenario AS double), (kind), 1 + 1 AS two FROM copilot_activity",
            vec!["CAST(scenario AS DOUBLE)", "kind", "two"],
        ),
        ("WITH a AS (SELECT 1 AS x) SELECT max(x) FROM a UNION ALL SELECT 7", vec!["max(x)"]),
        ("(SELECT 1, 'a') ORDER BY 1", vec!["1", "'a'"]),
        // No name is given twice.
        (
            "SELECT kind + 1, 7 AS \"kind + 1\" FROM copilot_activity",
            vec!["copilot_activity.kind + Int64(1)", "kind + 1"],
        ),
    ] {
        let (schema, batches) = session.sql(sql).await.unwrap();
        let given: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(given, names, "{sql}");
        assert!(batches.iter().all(|batch| batch.schema() == schema), "{sql}");
    }
}

#[tokio::test]
async fn everything_that_can_be_read_is_listed() {
    let (session, _lake) = session().await;
    let listed = answer(&session, "show tables;").await;
    let names: Vec<_> = listed.lines().filter_map(|line| line.split('|').nth(1)).skip(1).map(str::trim).collect();
    assert!(names.is_sorted(), "{listed}");
    let tables = TABLES.iter().map(|table| table.name);
    for name in tables.chain(VIEWS.iter().chain(QUERIES).map(|shipped| shipped.name)) {
        assert!(names.contains(&name), "{name}: {listed}");
    }
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'feedback_rates'";
    for sql in ["describe feedback_rates", "SHOW COLUMNS FROM feedback_rates", columns] {
        let listed = answer(&session, sql).await;
        assert!(listed.contains("net_positive_rate"), "{sql}: {listed}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_text_is_said_in_plain_words() {
    let (session, _lake) = session().await;
    for (sql, words) in [
        ("SELECT 1; SELECT 2", "the query cannot be run: the text has several statements: run one at a time"),
        (" -- nothing", "the query cannot be run: the text has no statement"),
        ("SELECT * EXCLUDE (x) FROM (SELECT 1 AS x)", "the query cannot be run: "),
        ("DROP TABLE payload", "the query cannot be run: the lake is read-only: "),
        ("INSERT INTO payload VALUES (1)", "the query cannot be run: the lake is read-only: "),
    ] {
        let error = try_answer(&session, sql).await.unwrap_err();
        assert!(matches!(error, Error::Question(_)) && error.to_string().starts_with(words), "{sql}: {error}");
    }
    for (sql, table) in [("FROM nowhere", "nowhere"), ("FROM main.nowhere", "main.nowhere")] {
        let error = try_answer(&session, sql).await.unwrap_err();
        assert!(matches!(&error, Error::TableNotFound { name } if name == table), "{sql}: {error:?}");
    }
}
