//! Pages as the service sends them: every value, and texts that read as a person would expect.

use std::fmt::Write as _;
use std::path::PathBuf;

use arrow::array::Array;
use copilot_lake_tables::Instant;
use serde_json::value::RawValue;

use super::of_batch;
use crate::decode_interactions;

fn path(of: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests")).join(of)
}

/// Every column of every row, children first.
fn decoded(page: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Page<'p> {
        #[serde(borrow)]
        value: &'p RawValue,
    }
    let page = std::fs::read_to_string(path(page)).unwrap();
    let page: Page<'_> = serde_json::from_str(&page).unwrap();
    let user = "4db02e4b-d144-400e-b194-53253a34c5be";
    let now = Instant::parse("2025-11-05T12:00:00Z").unwrap();
    let decoded = decode_interactions(user, page.value.get().as_bytes(), now).unwrap();
    assert_eq!(decoded.rejects.iter().map(|(_, reject)| reject).collect::<Vec<_>>(), [] as [&crate::Reject; 0]);
    let mut shown = String::new();
    for (table, week, batch) in &decoded.batches {
        for (at, row) in of_batch(batch).into_iter().enumerate() {
            writeln!(shown, "# {} {week}, row {at}", table.name).unwrap();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let name = field.name();
                match row.get(name) {
                    None => writeln!(shown, "{name}: -").unwrap(),
                    Some(text) if text.contains('\n') => {
                        writeln!(shown, "{name}:").unwrap();
                        text.lines().for_each(|line| writeln!(shown, "    {line}").unwrap());
                    }
                    Some(text) => writeln!(shown, "{name}: {text}").unwrap(),
                }
                assert_eq!(column.len(), batch.num_rows());
            }
            shown.push('\n');
        }
    }
    shown
}

/// Compares with a file of `expected/`, or writes it if `COPILOT_LAKE_ACCEPT` is set.
#[expect(clippy::disallowed_methods, reason = "`make accept` speaks through the environment")]
fn expect(name: &str) {
    let actual = decoded(&format!("fixtures/{name}.json"));
    let path = path(&format!("expected/{name}.txt"));
    if std::env::var_os("COPILOT_LAKE_ACCEPT").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs: if it is right, set COPILOT_LAKE_ACCEPT=1", path.display());
}

/// The published page of Teams: a text with a placeholder for a meeting.
#[test]
fn the_published_page_of_teams() {
    expect("graph-page-teams");
}

/// A page with the oddities of the published one of BizChat: bodies that are placeholders, raw and escaped, cards that
/// say the same twice, citations, footnotes, columns and buttons.
#[test]
fn a_page_of_bizchat() {
    expect("graph-page-bizchat");
}
