//! Values that do not fit, in a table or in the text: named by kind and place, and never shown.

use super::lake::{ASK, TestLake, UP, event, try_answer};
use crate::Error;

#[tokio::test]
async fn a_failing_value_is_not_shown_but_where_it_may_be() {
    let secret = "\u{1b}]0;Jane earns 90\u{7}\u{9b}31m";
    let lake = TestLake::of(&[event(UP, ASK, "r1", "2025-06-24T10:00:00Z").says(secret)]);
    let session = lake.session(&[]).await;
    for (sql, words) in [
        (
            "SELECT sum(CAST(msdyn_verbatim AS BIGINT)) FROM msdyn_copilotevent",
            "the query casts msdyn_copilotevent.msdyn_verbatim to Int64",
        ),
        (
            "SELECT count(*) FROM msdyn_copilotevent WHERE msdyn_verbatim::DATE > '2025-01-01'",
            "msdyn_verbatim to Date32",
        ),
        (
            "SELECT date_part('day', msdyn_verbatim) FROM msdyn_copilotevent",
            "the query casts msdyn_copilotevent.msdyn_verbatim to Timestamp(ns)",
        ),
        (
            "SELECT to_timestamp(msdyn_verbatim) FROM msdyn_copilotevent",
            "the query failed: a value does not have the type that it is cast to; the query computes to_timestamp of \
             msdyn_copilotevent.msdyn_verbatim",
        ),
        (
            "SELECT regexp_like('a', msdyn_verbatim || '(') FROM msdyn_copilotevent",
            "; the query computes `~` of msdyn_copilotevent.msdyn_verbatim",
        ),
        ("SELECT timezone((SELECT max(msdyn_verbatim) FROM msdyn_copilotevent), now())", "unknown time zone: give"),
        (
            "SELECT 1 % (versionnumber - versionnumber) FROM msdyn_copilotevent",
            "division by zero; the query computes `%` of msdyn_copilotevent.versionnumber",
        ),
        (
            "SELECT factorial(versionnumber + 99) FROM msdyn_copilotevent",
            "; the query computes factorial of msdyn_copilotevent.versionnumber",
        ),
        (
            "SELECT date_trunc('Jane', createdon) FROM msdyn_copilotevent",
            "; the query computes date_trunc of msdyn_copilotevent.createdon",
        ),
        (
            "SELECT max(CAST(versionnumber + 9 AS DECIMAL(38, 0)) * CAST(repeat('9', 38) AS DECIMAL(38, 0))) \
             FROM msdyn_copilotevent",
            "a result is too large for its type; the query computes `*` of msdyn_copilotevent.versionnumber",
        ),
    ] {
        let error = try_answer(&session, sql).await.unwrap_err().to_string();
        assert!(error.contains(words), "{sql}: {error}");
        assert!(error.starts_with("the query failed: ") != error.contains("time zone"), "{sql}: {error}");
        assert!(!error.contains("Jane") && !error.contains(char::is_control), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_planned_or_computed_is_the_askers_mistake_and_is_not_quoted() {
    let lake = TestLake::of(&[event(UP, ASK, "r1", "2025-06-24T10:00:00Z")]);
    let session = lake.session(&[]).await;
    let constant = "a value does not have the type that it is cast to; the query casts a constant to ";
    for (sql, words) in [
        ("SELECT 'salary'::int", "a value does not have the type that it is cast to".to_owned()),
        ("SELECT to_timestamp('salary')", "a value does not have the type that it is cast to".to_owned()),
        ("SELECT chr(-1)", "a function cannot be computed for a value that it was given".to_owned()),
        (
            "SELECT * FROM msdyn_copilotevent WHERE createdon > 'salary'",
            format!("{constant}Timestamp(ns, \"UTC\") beside msdyn_copilotevent.createdon"),
        ),
        (
            "SELECT * FROM msdyn_copilotevent WHERE versionnumber IN (1, 'salary')",
            format!("{constant}Int64 beside msdyn_copilotevent.versionnumber"),
        ),
        (
            "SELECT date_part(msdyn_verbatim, createdon) FROM msdyn_copilotevent",
            "the query cannot be run: date_part requires".to_owned(),
        ),
        (
            "SELECT date_part('day', versionnumber) FROM msdyn_copilotevent",
            "the query cannot be run: No function matches the given name and argument types 'date_part(Utf8, Int64)'."
                .to_owned(),
        ),
    ] {
        match try_answer(&session, sql).await {
            Err(error @ Error::Question(_)) => {
                let text = error.to_string();
                assert!(text.contains(&words) && !text.contains("salary") && !text.contains("bug"), "{sql}: {text}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}
