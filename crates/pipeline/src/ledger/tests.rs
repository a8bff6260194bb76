//! Which runs are continued, and in which order they were.

use std::collections::BTreeSet;

use super::*;
use copilot_lake_writer::LakeOptions;

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

/// A ledger with runs: name, command, start, outcome.
async fn ledger(runs: &[(&str, &str, &str, &str)]) -> Ledger {
    let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    let mut ledger = Ledger::read(&lake).await.unwrap();
    for (run, command, start, outcome) in runs {
        ledger.started.insert((*run).to_owned(), at(start));
        ledger.commands.insert((*run).to_owned(), (*command).to_owned());
        if !outcome.is_empty() {
            ledger.outcomes.insert((*run).to_owned(), (*outcome).to_owned());
        }
    }
    ledger
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn what_was_killed_lately_is_continued() {
    let mut ledger = ledger(&[
        ("a", "extract", "2025-11-05T07:00:00Z", "complete"),
        ("b", "extract", "2025-11-05T08:00:00Z", ""),
        ("c", "extract --full", "2025-11-05T09:00:00Z", ""),
        ("d", "replay", "2025-11-05T10:00:00Z", ""),
    ])
    .await;
    let now = at("2025-11-05T11:00:00Z");
    assert_eq!(ledger.continued("extract", now).runs, names(["b", "c"]), "a replay ends no chain");
    assert_eq!(ledger.continued("extract --full", now).runs, names(["c"]), "what was read before is read again");
    let later = at("2025-11-05T14:30:00Z");
    assert_eq!(ledger.continued("extract", later).runs, names(["c"]), "within six hours");
    ledger.active.insert("b".to_owned(), at("2025-11-05T08:50:00Z"));
    assert_eq!(ledger.continued("extract", later).runs, names(["b", "c"]), "of its last slice");
    assert!(ledger.has_unfinished());
}

#[tokio::test]
async fn reading_everything_again_goes_on_after_a_stop() {
    let mut ledger = ledger(&[
        ("a", "extract --full", "2025-11-05T06:00:00Z", "complete"),
        ("b", "extract --full", "2025-11-05T07:00:00Z", "partial"),
        ("c", "extract", "2025-11-05T08:00:00Z", "complete"),
        ("d", "extract --full", "2025-11-05T09:00:00Z", ""),
    ])
    .await;
    let now = at("2025-11-05T10:00:00Z");
    assert_eq!(ledger.continued("extract --full", now).runs, names(["b", "d"]));
    assert_eq!(ledger.continued("extract", now).runs, names(["d"]));
    let full = ledger.continued("extract --full", now);
    assert_eq!((full.now, full.anew(true)), (at("2025-11-05T07:00:00Z"), None), "the last one was killed");
    ledger.outcomes.insert("d".to_owned(), "partial".to_owned());
    let full = ledger.continued("extract --full", now);
    let anew = full.anew(true).unwrap();
    assert_eq!((anew.now, anew.runs), (now, names([])), "what was stopped may have been through");
    assert_eq!(full.anew(false), None);
    assert_eq!(ledger.continued("extract", now).runs, names([]), "it ended");
}

#[tokio::test]
async fn runs_are_in_the_order_of_their_starts() {
    let ledger = ledger(&[
        ("z", "extract", "2025-11-05T07:00:00Z", "complete"),
        ("y", "replay", "2025-11-05T08:00:00Z", "complete"),
        ("x", "extract", "2025-11-05T09:00:00Z", "complete"),
    ])
    .await;
    assert!(ledger.is_before("y", "x") && ledger.is_before("z", "y"));
    assert!(!ledger.is_before("z", "x") && !ledger.is_before("x", "y"));
    assert!(!ledger.has_unfinished());
}
