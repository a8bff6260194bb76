//! Random pages: each row arrives once, values that fit come out equal, and others keep their raw text.

mod made;

use std::collections::BTreeMap;

use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, INTERACTION_CHILDREN, Instant, Table, Week};
use rayon::prelude::*;
use serde_json::Value;

use super::oracle::Random;
use super::{is_soak, of_batch};
use crate::raw_object::RawProperties;
use crate::{COPILOT_PLAN_ID, Reject, decode_interactions, decode_users};
use made::{Members, Row};

const USER: &str = "4db02e4b-d144-400e-b194-53253a34c5be";
const NOW: Instant = Instant::from_seconds(1_762_300_000);

/// Rows in output order, each with its time.
fn by_week(rows: impl Iterator<Item = (Row, Instant)>) -> Vec<(Row, Instant)> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(_, time)| Week::of(*time));
    rows
}

/// Compares a row with the expected one; returns its key.
fn compare(found: &BTreeMap<String, String>, row: &Row, table: &'static Table, shown: &dyn Fn() -> String) -> String {
    let mut left = found.clone();
    let text = left.remove("extra_json");
    assert!(text.iter().all(|text| serde_json::from_str::<Value>(text).is_ok()), "{text:?} {}", shown());
    let [expected, _] = row.extra();
    assert_eq!(text.map_or(vec![], |text| properties(&text)), expected, "{} {}", table.name, shown());
    assert_eq!(left.remove("extracted_at"), Some(NOW.to_string()));
    for (column, text) in &row.columns {
        assert_eq!(left.remove(*column).as_ref(), Some(text), "{} {column} {}", table.name, shown());
    }
    assert!(left.is_empty(), "{} {left:?} {}", table.name, shown());
    table.key.iter().map(|part| found[*part].as_str()).collect::<Vec<_>>().join("/")
}

/// Names and values of a JSON object, by name; unpaired surrogates in names are replaced.
fn properties(text: &str) -> Members {
    let RawProperties(whole, broken) = serde_json::from_str(text).unwrap();
    let broken = broken.into_iter().map(|(_, raw)| ("\u{fffd}".to_owned(), raw));
    let mut properties: Members =
        whole.into_iter().chain(broken).map(|(name, raw)| (name, raw.get().to_owned())).collect();
    properties.sort();
    properties
}

/// A row's key, a column and the raw misfit; those of `extra_json` by name.
type Misfit = (String, String, Result<String, Members>);

/// The rejects of the row with that key.
fn rejects_of(row: &Row, key: &str) -> Vec<Misfit> {
    let values = row.rejects.iter().map(|(column, raw)| (key.to_owned(), (*column).to_owned(), Ok(raw.clone())));
    let [_, refused] = row.extra();
    let extra = (!refused.is_empty()).then(|| (key.to_owned(), "extra_json".to_owned(), Err(refused)));
    values.chain(extra).collect()
}

fn check_rejects<'r>(found: impl Iterator<Item = &'r Reject>, mut expected: Vec<Misfit>, shown: &dyn Fn() -> String) {
    let raw = |reject: &Reject| match reject.column_name {
        "extra_json" => Err(properties(&reject.raw_json)),
        _ => Ok(reject.raw_json.clone()),
    };
    let mut found: Vec<_> = found.map(|r| (r.record_key.clone(), r.column_name.to_owned(), raw(r))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{}", shown());
}

/// Decodes one page of interactions; returns its numbers of rows and rejects.
fn check_interactions(seed: u64) -> (usize, usize) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    // Each interaction comes once: what comes again is another test's.
    let mut seen = std::collections::HashSet::new();
    let mut is_first = |text: &str, row: &Row| {
        let part = |name: &str| row.columns.get(name).filter(|part| !part.is_empty()).cloned();
        seen.insert((part("session_id"), part("interaction_id").unwrap_or_else(|| text.to_owned())))
    };
    let made = (0..=random.below(18)).map(|_| random.interaction());
    let (texts, rows): (Vec<_>, Vec<_>) = made.filter(|(text, row)| is_first(text, row)).unzip();
    let page = format!(" [{}] ", texts.join(" ,"));
    let shown = || format!("seed {seed}: {page}");
    let decoded = decode_interactions(USER, page.as_bytes(), NOW).unwrap();
    assert_eq!(decoded.rows as usize, rows.len(), "{}", shown());
    let of_table = |table: &str| {
        let batches = decoded.batches.iter().filter(move |(of, ..)| of.name == table);
        batches.flat_map(|(_, _, batch)| of_batch(batch)).collect::<Vec<_>>()
    };
    let rejects =
        |table: &'static str| decoded.rejects.iter().filter(move |(of, _)| of.name == table).map(|(_, reject)| reject);
    let timed = rows.into_iter().map(|row| {
        let time = row.columns.get("created_at").and_then(|text| Instant::parse(text));
        (row, time.unwrap_or(Week::UNKNOWN.start()))
    });
    let mut rows = by_week(timed);
    let found = of_table(AI_INTERACTION.name);
    assert_eq!(found.len(), rows.len(), "every row lands once {}", shown());
    let mut children: [Vec<(Row, Instant)>; 4] = Default::default();
    let mut expected = Vec::new();
    for (found, (row, time)) in found.iter().zip(&mut rows) {
        row.columns.extend([("user_id", USER.to_owned()), ("row_time", time.to_string())]);
        row.columns.entry("session_id").or_default();
        if row.columns.get("interaction_id").is_none_or(String::is_empty) {
            assert!(found["interaction_id"].starts_with("sha256:"), "{}", shown());
            row.columns.insert("interaction_id", found["interaction_id"].clone());
        }
        if let Some(class) = row.columns.get("app_class") {
            let app = class.trim_start_matches("IPM.SkypeTeams.Message.").trim_start_matches("Copilot.").to_owned();
            row.columns.insert("app", app);
        }
        if let Some(content) = row.columns.get("body_content") {
            let text = found.get("text").unwrap_or_else(|| panic!("no text {}", shown()));
            let is_html = row.columns.get("body_content_type").is_some_and(|kind| kind == "HTML");
            let is_plain = !is_html && !content.contains("attachment") && !content.contains(['\u{fdd0}', '\u{fdd1}']);
            assert!(!is_plain || content.trim().is_empty() || text == content.trim(), "{}", shown());
            row.columns.insert("text", text.clone());
        } else if let Some(text) = found.get("text") {
            assert!(!row.children[0].is_empty(), "of a card {}", shown());
            row.columns.insert("text", text.clone());
        }
        let key = compare(found, row, &AI_INTERACTION, &shown);
        let part = |name: &'static str| (name, found[name].clone());
        let parts = ["user_id", "session_id", "interaction_id"].map(part);
        for (of_table, rows) in children.iter_mut().zip(&mut row.children) {
            for (position, mut child) in std::mem::take(rows).into_iter().enumerate() {
                child.columns.extend(parts.clone());
                child.columns.extend([("position", position.to_string()), ("row_time", time.to_string())]);
                of_table.push((child, *time));
            }
        }
        expected.extend(rejects_of(row, &key));
    }
    let mut count = expected.len();
    check_rejects(rejects(AI_INTERACTION.name), expected, &shown);
    for (table, rows) in INTERACTION_CHILDREN.into_iter().zip(&children) {
        let found = of_table(table.name);
        assert_eq!(found.len(), rows.len(), "{} {}", table.name, shown());
        let mut expected = Vec::new();
        for (found, (row, _)) in found.iter().zip(rows) {
            let key = compare(found, row, table, &shown);
            expected.extend(rejects_of(row, &key));
        }
        count += expected.len();
        check_rejects(rejects(table.name), expected, &shown);
    }
    (found.len(), count)
}

/// Decodes one page of users.
fn check_users(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let (mut texts, mut rows, mut nobody) = (Vec::new(), Vec::new(), 0);
    for _ in 0..random.below(10) {
        let (mut row, mut members) = (Row::default(), Members::new());
        let names = random.columns(&GRAPH_USER, &mut row, &mut members);
        random.strangers(&mut members);
        if random.chance(80) {
            let is_enabled = random.chance(50);
            let (raw, want) = random.date();
            let plan = format!(
                r#"{{"servicePlanId":"{COPILOT_PLAN_ID}","capabilityStatus":"{}","assignedDateTime":{raw}}}"#,
                if is_enabled { "Enabled" } else { "Suspended" }
            );
            let wrong = random.one(&["{}", r#"{"servicePlanId":"x"}"#, "[]", "5"]);
            let plans = format!("[{plan},{wrong}]");
            if is_enabled {
                row.want("license_assigned_at", &raw, want);
            }
            if !wrong.starts_with('{') {
                row.rejects.push(("has_copilot_license", plans.clone()));
            }
            if is_enabled || wrong.starts_with('{') {
                row.columns.insert("has_copilot_license", is_enabled.to_string());
            }
            members.push(("assignedPlans".to_owned(), plans));
        }
        random.shuffle(&mut members);
        row.strangers(&members);
        random.repeat(&mut members, &names);
        texts.push(random.object(&members));
        if row.columns.get("user_id").is_none_or(String::is_empty) { nobody += 1 } else { rows.push(row) }
    }
    let page = format!("[{}]", texts.join(","));
    let shown = || format!("seed {seed}: {page}");
    let decoded = decode_users(page.as_bytes(), NOW, |_| Instant(0)).unwrap();
    assert_eq!((decoded.rows as usize, decoded.users.len()), (texts.len(), rows.len()), "{}", shown());
    let found = decoded.batch.as_ref().map_or(vec![], of_batch);
    assert_eq!(found.len(), rows.len(), "{}", shown());
    let mut expected = Vec::new();
    for ((found, row), user) in found.iter().zip(&mut rows).zip(&decoded.users) {
        row.columns.insert("first_seen_at", Instant(0).to_string());
        let key = compare(found, row, &GRAPH_USER, &shown);
        assert_eq!((&user.id, user.principal_name.as_ref()), (&key, found.get("user_principal_name")));
        assert_eq!(user.is_licensed, found.get("has_copilot_license").is_some_and(|text| text == "true"));
        expected.extend(rejects_of(row, &key));
    }
    let (whole, values): (Vec<_>, Vec<_>) = decoded.rejects.iter().partition(|reject| reject.column_name.is_empty());
    assert_eq!(whole.len(), nobody, "{}", shown());
    assert!(whole.iter().all(|reject| texts.contains(&reject.raw_json)), "{}", shown());
    check_rejects(values.into_iter(), expected, &shown);
}

#[test]
fn random_interactions_land_value_by_value() {
    let pages = if is_soak() { 110_000 } else { 2_200 };
    let sum = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
    let (rows, rejects) = (0..pages).into_par_iter().map(check_interactions).reduce(|| (0, 0), sum);
    assert!(rows > pages as usize * 9 && rejects > rows, "{rows} rows, {rejects} rejects");
}

#[test]
fn random_users_land_value_by_value() {
    (0..if is_soak() { 50_000 } else { 1_000 }).into_par_iter().for_each(check_users);
}
