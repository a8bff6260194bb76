//! What a session shows of a lake: committed files, weeks pruned, functions as in DuckDB, errors in words.

use std::collections::BTreeMap;
use std::fs::write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use copilot_lake_tables::{COPILOT_EVENT, EXTRACTION_RUN, TABLES, Week};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};

use super::lake::{ASK, COPY, GENERATED, TestLake, UP, answer, batch, event, try_answer};
use crate::{DuckdbViews, Error, Parameter, ParameterType, QUERIES, Session, VIEWS, duckdb_views, query, view};

fn three_weeks() -> TestLake {
    TestLake::of(&[
        event(GENERATED, ASK, "r1", "2025-06-23T10:00:00Z"),
        event(UP, ASK, "r1", "2025-06-24T10:00:00Z"),
        event(GENERATED, ASK, "r2", "2025-06-30T10:00:00Z"),
        event(COPY, ASK, "r2", "2025-07-08T10:00:00Z"),
    ])
}

/// The one value of an answer of one row and one column.
async fn value(session: &Session, sql: &str) -> String {
    let text = answer(session, sql).await;
    let line = text.lines().nth(3).unwrap_or_else(|| panic!("no row: {text}"));
    line.trim_matches(['|', ' ']).to_owned()
}

#[tokio::test]
async fn every_table_is_there_and_an_empty_lake_answers() {
    let session = TestLake::of(&[]).session(&[]).await;
    for table in TABLES.iter().filter(|table| table.view_of().is_none()) {
        assert_eq!(value(&session, &format!("SELECT count(*) FROM {}", table.name)).await, "0", "{}", table.name);
        let (schema, rows) = session.sql(&format!("SELECT * FROM {}", table.name)).await.unwrap();
        let mut fields: Vec<_> = table.layout().schema().fields().iter().cloned().collect();
        if table.is_partitioned() {
            fields.push(Arc::new(Field::new("week_start", DataType::Date32, true)));
        }
        assert_eq!(schema.fields().iter().cloned().collect::<Vec<_>>(), fields, "{}", table.name);
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0);
    }
    for shipped in QUERIES {
        let (schema, rows) = session.sql(shipped.sql).await.unwrap();
        assert!(schema.fields().len() > 3 && rows.iter().all(|batch| batch.num_rows() == 0), "{}", shipped.name);
    }
}

#[tokio::test]
async fn only_what_the_log_lists_is_read() {
    let lake = three_weeks();
    write(lake.directory.path().join("msdyn_copilotevent/week_start=2025-06-22/left.parquet"), "torn").unwrap();
    let session = lake.session(&[]).await;
    assert_eq!(value(&session, "SELECT count(*) FROM msdyn_copilotevent").await, "4");
    assert_eq!(value(&session, "SELECT count(DISTINCT request_id) FROM copilot_activity").await, "2");
}

#[tokio::test]
async fn what_is_read_from_an_ordered_query_keeps_its_order() {
    let lake = three_weeks();
    let session = lake.session(&[]).await;
    let newest = "(SELECT week_start, createdon FROM msdyn_copilotevent ORDER BY createdon DESC) AS newest";
    for (sql, first) in [
        (format!("SELECT week_start FROM {newest} LIMIT 1"), "2025-07-06"),
        (format!("SELECT week_start FROM {newest} WHERE week_start < DATE '2025-07-06' LIMIT 1"), "2025-06-29"),
        ("SELECT week_start FROM scenario_usage LIMIT 1".to_owned(), "2025-06-22"),
    ] {
        assert_eq!(value(&session, &sql).await, first, "{sql}");
    }
}

#[tokio::test]
async fn a_condition_on_the_week_leaves_files_out_of_the_plan() {
    let lake = three_weeks();
    let session = lake.session(&[("from", "2025-06-29")]).await;
    for (condition, weeks) in [
        ("week_start = DATE '2025-06-29'", ["2025-06-29"].as_slice()),
        ("week_start >= CAST(getvariable('from') AS DATE)", &["2025-06-29", "2025-07-06"]),
        ("week_start <> '2025-06-29'", &["2025-06-22", "2025-07-06"]),
        ("week_start BETWEEN '2025-06-01' AND '2025-06-28' AND scenario = 100230201", &["2025-06-22"]),
        ("week_start > '2026-01-01'", &[]),
        ("scenario = 100230201", &["2025-06-22", "2025-06-29", "2025-07-06"]),
    ] {
        let table = "(SELECT *, msdyn_scenariotype AS scenario, ownerid AS user_id FROM msdyn_copilotevent)";
        for relation in ["copilot_activity", table] {
            let sql = format!("SELECT user_id FROM {relation} WHERE {condition}");
            let plan = session.explain(&sql).await.unwrap();
            let read: Vec<_> = ["2025-06-22", "2025-06-29", "2025-07-06"]
                .into_iter()
                .filter(|week| plan.contains(&format!("week_start={week}/")))
                .collect();
            assert_eq!(read, weeks, "{condition}: {plan}");
        }
    }
    assert_eq!(value(&session, "SELECT count(*) FROM copilot_activity WHERE week_start < '2025-07-01'").await, "3");
}

#[tokio::test]
async fn parameters_in_a_row_of_their_own_leave_files_out_too() {
    let lake = three_weeks();
    let session = lake.session(&[("from", "2025-06-29")]).await;
    let head = "WITH parameter AS (SELECT CAST(getvariable('from') AS DATE) AS from_day, 'UTC' AS tz)";
    for relation in ["copilot_activity CROSS JOIN parameter WHERE", "parameter JOIN copilot_activity ON"] {
        let condition = "(from_day IS NULL OR week_start >= from_day)";
        let sql = format!("{head} SELECT user_id, tz, local_day(created_ts, tz) FROM {relation} {condition}");
        let plan = session.explain(&sql).await.unwrap();
        assert!(plan.contains("week_start=2025-07-06/") && !plan.contains("week_start=2025-06-22/"), "{plan}");
        let (_, batches) = session.sql(&sql).await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
    }
}

#[tokio::test]
async fn counting_rows_reads_no_file() {
    let lake = three_weeks();
    let session = lake.session(&[]).await;
    let plan =
        session.explain("SELECT count(*) FROM msdyn_copilotevent WHERE week_start < '2025-07-01'").await.unwrap();
    assert!(!plan.contains(".parquet"), "{plan}");
    let sql = "SELECT count(*) FROM msdyn_copilotevent WHERE week_start < '2025-07-01'";
    assert_eq!(value(&session, sql).await, "3");
}

#[tokio::test]
async fn a_column_that_an_older_file_lacks_is_null() {
    let mut lake = three_weeks();
    let old = batch(&[event(GENERATED, ASK, "r0", "2025-06-16T10:00:00Z").with(|row| row.id = "old".to_owned())]);
    let columns: Vec<_> = (0..old.num_columns())
        .filter(|at| {
            !matches!(old.schema().field(*at).name().as_str(), "msdyn_aiagent" | "deleted_at" | "msdyn_verbatim")
        })
        .collect();
    lake.write(&COPILOT_EVENT, Week::parse("2025-06-15"), &old.project(&columns).unwrap());
    let session = lake.session(&[]).await;
    let sql = "SELECT count(*) FROM copilot_activity WHERE agent IS NULL AND verbatim IS NULL AND is_human";
    assert_eq!(value(&session, sql).await, "5");
    let text = answer(&session, query("feedback_rates").unwrap().sql).await;
    assert!(text.contains("| 2025-06-15 | 100230201 | Ask a question | 1 "), "{text}");
}

#[tokio::test]
async fn a_lake_that_the_writer_made_is_opened_by_its_log() {
    let directory = tempfile::TempDir::new().unwrap();
    let lake = Lake::open(directory.path().to_str().unwrap(), LakeOptions::default()).await.unwrap();
    let empty = Session::open(&lake, &BTreeMap::new(), &[]).await.unwrap();
    assert_eq!(value(&empty, "SELECT count(*) FROM copilot_activity").await, "0", "no table is there yet");
    assert!(!duckdb_views(&lake, DuckdbViews::Files).await.unwrap().contains(".parquet"));

    lake.prepare(&Instance::default(), false).await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    for (id, created) in [("e1", "2025-06-23T10:00:00Z"), ("e2", "2025-06-30T10:00:00Z")] {
        let row = event(GENERATED, ASK, "r1", created).with(|row| row.id = id.to_owned());
        changes.push(row.created.map(Week::of), batch(&[row])).await.unwrap();
    }
    assert_eq!(value(&empty, "SELECT count(*) FROM copilot_activity").await, "0", "nothing is committed");
    changes.commit("run").await.unwrap();

    let session = Session::open(&lake, &BTreeMap::new(), &[]).await.unwrap();
    assert_eq!(value(&session, "SELECT count(*) FROM copilot_activity").await, "2");
    let sql = "SELECT min(event_id) FROM copilot_activity WHERE week_start > '2025-06-25'";
    assert_eq!(value(&session, sql).await, "e2");
    let script = duckdb_views(&lake, DuckdbViews::Files).await.unwrap();
    assert!(script.contains(&directory.path().display().to_string()), "where the lake is");
    assert!(script.contains("'msdyn_copilotevent/week_start=2025-06-29/part-"), "{script}");
    assert!(!script.contains("payload/week_start"), "no payload yet");
}

#[tokio::test]
async fn unpartitioned_tables_are_read() {
    let mut lake = three_weeks();
    let schema = EXTRACTION_RUN.layout().schema();
    let fields: Vec<_> = schema.fields().iter().cloned().collect();
    let columns = fields.iter().map(|field| match field.name().as_str() {
        "run_id" => Arc::new(arrow::array::StringArray::from(vec!["run-1", "run-2"])) as arrow::array::ArrayRef,
        _ => arrow::array::new_null_array(field.data_type(), 2),
    });
    let rows = arrow::array::RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap();
    lake.write(&EXTRACTION_RUN, None, &rows);
    let session = lake.session(&[]).await;
    assert_eq!(value(&session, "SELECT max(run_id) FROM extraction_run").await, "run-2");
}

#[tokio::test]
async fn functions_answer_as_in_duckdb() {
    let lake = three_weeks();
    let session = lake.session(&[("Tz", "Asia/Kolkata")]).await;
    for (sql, expected) in [
        ("SELECT getvariable('tz')", "Asia/Kolkata"),
        ("SELECT coalesce(getvariable('nothing'), 'UTC')", "UTC"),
        ("SELECT getvariable('nothing') IS NULL", "true"),
        ("SELECT timezone(getvariable('tz'), TIMESTAMPTZ '2025-06-22 20:00:00Z')", "2025-06-23T01:30:00"),
        ("SELECT timezone('Europe/Berlin', TIMESTAMPTZ '2025-03-30 00:59:59Z')", "2025-03-30T01:59:59"),
        ("SELECT timezone('Europe/Berlin', TIMESTAMPTZ '2025-03-30 01:00:00Z')", "2025-03-30T03:00:00"),
        ("SELECT timezone('UTC', CAST(NULL AS TIMESTAMPTZ)) IS NULL", "true"),
        ("SELECT timezone(NULL, createdon) IS NULL FROM msdyn_copilotevent LIMIT 1", "true"),
        ("SELECT min(timezone('America/New_York', createdon)) FROM msdyn_copilotevent", "2025-06-23T06:00:00"),
        ("SELECT arrow_typeof(timezone('UTC', max(createdon))) FROM msdyn_copilotevent", "Timestamp(µs)"),
        ("SELECT local_day(TIMESTAMPTZ '2025-06-28 23:59:59Z', 'Europe/Berlin')", "2025-06-29"),
        ("SELECT week_of(TIMESTAMPTZ '2025-06-28 23:59:59Z', 'UTC', 'sunday')", "2025-06-22"),
        ("SELECT week_of(TIMESTAMPTZ '2025-06-28 23:59:59Z', getvariable('tz'), 'monday')", "2025-06-23"),
        ("SELECT week_of(TIMESTAMPTZ '1969-12-28 00:00:00Z', 'UTC', 'sunday')", "1969-12-28"),
        ("SELECT week_of(NULL, 'UTC', 'sunday') IS NULL", "true"),
        ("SELECT lake_week(DATE '2025-06-22', 'monday')", "2025-06-23"),
        ("SELECT lake_week(DATE '2025-06-22', 'sunday')", "2025-06-22"),
        ("SELECT seconds_between(TIMESTAMPTZ '2025-06-22 20:00:00Z', TIMESTAMPTZ '2025-06-22 19:59:59.5Z')", "-0.5"),
        (
            "SELECT min(day) || ' ' || max(day) || ' ' || count(day) FROM (SELECT CAST(local_day(at, z) AS VARCHAR) AS \
             day FROM (VALUES ('Asia/Tokyo'), ('America/Chicago'), (NULL)) zones(z) \
             CROSS JOIN (SELECT TIMESTAMPTZ '2025-06-22 20:00:00Z' AS at) moment) days",
            "2025-06-22 2025-06-23 2",
        ),
        ("SELECT 1 / 2", "0.5"),
        ("SELECT sum(a) / sum(b) FROM (VALUES (1, 2), (2, 2)) t(a, b)", "0.75"),
        ("SELECT 1 / 0", "inf"),
        ("SELECT CAST(1 AS DECIMAL(10, 2)) / 4", "0.25"),
        ("SELECT NULL / 2 IS NULL", "true"),
        ("SELECT -7 // 2", "-3"),
        ("SELECT a FROM (VALUES (1), (NULL)) t(a) ORDER BY a DESC LIMIT 1", "1"),
    ] {
        assert_eq!(value(&session, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn wrong_questions_are_told_from_failed_runs() {
    let lake = three_weeks();
    let session = lake.session(&[("tz", "Europe/Berlyn")]).await;
    for (sql, words) in [
        ("SELEC 1", "SELEC"),
        ("DROP VIEW copilot_activity", "the lake is read-only: "),
        ("COPY msdyn_copilotevent TO 'x.csv'", "the lake is read-only: "),
        ("SET datafusion.execution.batch_size = 1", "the lake is read-only: "),
        ("EXPLAIN DELETE FROM msdyn_copilotevent", "DML"),
        ("SELECT timezone('UTC', week_start) FROM msdyn_copilotevent", "timezone"),
        ("SELECT 7.5 // 2", "`//` divides whole numbers"),
        ("SELECT 7 // 0", "division by zero"),
        ("SELECT year('2025-06-22')", "year needs a date or a timestamp"),
        (
            "SELECT max_by(createdon, versionnumber) OVER () FROM msdyn_copilotevent",
            "max_by is not supported with OVER",
        ),
        (query("feedback_rates").unwrap().sql, "unknown time zone 'Europe/Berlyn'"),
    ] {
        match try_answer(&session, sql).await {
            Err(Error::Question(text)) => assert!(text.contains(words) && !text.contains('\n'), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    let unknown = try_answer(&session, "SELECT * FROM no_table").await;
    assert!(matches!(&unknown, Err(Error::TableNotFound { name }) if name == "no_table"), "{unknown:?}");
    let wrong = try_answer(&session, "SELEC 1").await.unwrap_err().to_string();
    assert!(wrong.starts_with("the query cannot be run: Expected: an SQL statement, found: SELEC"), "{wrong}");
    match try_answer(&session, "SELECT creatdon FROM msdyn_copilotevent").await {
        Err(Error::ColumnNotFound { name, known, is_quoted }) => {
            assert!(
                name == "creatdon" && !is_quoted && known.iter().any(|column| column == "msdyn_copilotevent.createdon"),
                "{known:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let quoted = try_answer(&session, "SELECT * FROM payload WHERE status = \"decoded\"").await;
    assert!(
        matches!(&quoted, Err(Error::ColumnNotFound { name, is_quoted: true, .. }) if name == "decoded"),
        "{quoted:?}"
    );
    match try_answer(&session, "SELECT printf(createdon) FROM msdyn_copilotevent").await {
        Err(Error::FunctionNotFound { name, known }) => {
            let has = |function: &str| known.iter().any(|known| known == function);
            assert!(name == "printf" && has("strftime") && has("sum") && has("row_number"), "{known:?}");
        }
        other => panic!("{other:?}"),
    }
    let gone = lake.directory.path().join(&lake.files["msdyn_copilotevent"][0].path);
    std::fs::remove_file(gone).unwrap();
    let failed = try_answer(&session, "SELECT max(versionnumber) FROM msdyn_copilotevent").await;
    let Err(Error::FileMissing { path, reason }) = &failed else { panic!("{failed:?}") };
    assert!(path.ends_with(&lake.files["msdyn_copilotevent"][0].path), "{path}");
    assert!(reason.contains("week_start=2025-06-22"), "{reason}");
}

#[tokio::test]
async fn a_number_is_no_time() {
    let lake = three_weeks();
    let session = lake.session(&[]).await;
    for (condition, words) in [
        ("week_start > 2025-6-22", "a date is compared with a number: write '2025-06-22', with the quotes"),
        ("20250622 = week_start", "a date is compared with a number: write '2025-06-22', with the quotes"),
        ("week_start > 20259922", "a date is compared with a number: compare it with a date"),
        ("week_start = versionnumber", "a date is compared with a number: compare it with a date"),
        ("createdon = msdyn_scenariotype", "a timestamp is compared with a number: compare it with a timestamp"),
        ("week_start IN (DATE '2025-06-22', 2025-06-29)", "write '2025-06-29'"),
        ("createdon BETWEEN 2025-06-22 AND 2025-06-29", "a timestamp is compared with a number: write '2025-06-22'"),
    ] {
        let sql = format!("SELECT count(*) FROM msdyn_copilotevent WHERE {condition}");
        match try_answer(&session, &sql).await {
            Err(Error::Question(text)) => assert!(text.contains(words), "{condition}: {text}"),
            other => panic!("{condition}: {other:?}"),
        }
    }
    let sql = "SELECT count(*) FROM msdyn_copilotevent WHERE week_start - DATE '2025-06-22' > 7 OR week_start = NULL";
    assert_eq!(value(&session, sql).await, "1");
}

#[test]
fn every_shipped_file_has_a_whole_header() {
    for shipped in QUERIES.iter().chain(VIEWS) {
        assert!(!shipped.title().is_empty() && shipped.title() != shipped.name, "{}", shipped.name);
        assert!(shipped.question().ends_with('.') && !shipped.definition().is_empty(), "{}", shipped.name);
        for name in shipped.tables() {
            let shipped_names = VIEWS.iter().chain(QUERIES).map(|shipped| shipped.name);
            let known = TABLES.iter().map(|table| table.name).chain(shipped_names);
            assert!(known.into_iter().any(|known| known == name), "{}: table {name}", shipped.name);
            let is_read = ["FROM", "JOIN"].iter().any(|word| shipped.sql.contains(&format!("{word} {name}")));
            assert!(is_read, "{}: {name} is not read", shipped.name);
        }
        assert!(!shipped.tables().is_empty(), "{}", shipped.name);
        // Parameters are read in one place, with the default that the header names.
        let parameters = shipped.own_parameters();
        assert_eq!(shipped.sql.matches("getvariable('").count(), parameters.len(), "{}", shipped.name);
        let head = shipped.sql.split_once("WITH parameter AS (\n").and_then(|(_, sql)| sql.split_once("\n)"));
        let head = head.map(|(head, _)| head).unwrap_or_default();
        for Parameter { name, ty, default, doc } in parameters {
            let value = match default {
                Some(default) => format!("coalesce(getvariable('{name}'), '{default}')"),
                None => format!("getvariable('{name}')"),
            };
            assert!(head.contains(&value), "{}: {value}", shipped.name);
            assert!(doc.len() > 10, "{name}");
            assert!(default.is_none_or(|default| ty.accepts(default)), "{name}");
            let of_type = match ty {
                ParameterType::Date => format!("CAST(getvariable('{name}') AS DATE)"),
                ParameterType::Number => format!("CAST({value} AS INTEGER)"),
                ParameterType::TimeZone => format!("{value} AS tz"),
                ParameterType::Weekday => format!("{value} AS first_day"),
                ParameterType::YesOrNo => format!("{value} AS {name}"),
                ParameterType::Text => format!("CAST({value} AS VARCHAR)"),
            };
            assert!(head.contains(&of_type), "{}: {of_type}", shipped.name);
        }
        let body: String = shipped.sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        assert!(!body.contains(';'), "{}: one statement, to be used as a subquery too", shipped.name);
    }
    assert_eq!(query("feedback_rates").unwrap().parameters()[0].name, "tz");
    assert!(query("nothing").is_none());
}

#[tokio::test]
async fn every_column_is_in_the_header() {
    let session = TestLake::of(&[]).session(&[]).await;
    for shipped in QUERIES.iter().chain(VIEWS) {
        let (schema, _) = session.sql(shipped.sql).await.unwrap();
        let columns = shipped.columns();
        let named = columns.iter().flat_map(|(names, _)| names.split(", "));
        let given: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(named.collect::<Vec<_>>(), given, "{}", shipped.name);
    }
}

#[tokio::test]
async fn joins_of_headers_are_conditions() {
    let session = Session::of_definitions().await.unwrap();
    for shipped in QUERIES.iter().chain(VIEWS) {
        for (other, condition) in shipped.joins() {
            let sql = format!("SELECT count(*) FROM {} JOIN {other} ON {condition}", shipped.name);
            assert_eq!(value(&session, &sql).await, "0", "{sql}");
        }
    }
    assert!(view("copilot_activity").unwrap().joins().len() > 3);
}

#[tokio::test]
async fn answers_have_types_that_duckdb_has_too() {
    let session = TestLake::of(&[]).session(&[]).await;
    for shipped in QUERIES {
        let (schema, _) = session.sql(shipped.sql).await.unwrap();
        for field in schema.fields() {
            let is_plain = match field.data_type() {
                DataType::Date32 | DataType::Int32 | DataType::Int64 | DataType::Float64 | DataType::Utf8 => true,
                DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => zone.as_ref() == "UTC",
                // Other dialects have no booleans in a result.
                _ => false,
            };
            assert!(is_plain, "{}.{field:?}", shipped.name);
        }
    }
}
