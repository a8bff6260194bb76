//! Duplicate keys in a table, as commits leave them that do not look for any.

use std::collections::BTreeMap;

use super::keys::Random;
use super::*;
use crate::merge::dedupe::{DedupeLimits, all_superseded};

/// All keys in memory; a filter of them first, and the rows of possible duplicates in a second pass; that in many parts.
const LIMITS: [DedupeLimits; 3] = [
    DedupeLimits { small_table_rows: u64::MAX, part_rows: u64::MAX },
    DedupeLimits { small_table_rows: 0, part_rows: u64::MAX },
    DedupeLimits { small_table_rows: 0, part_rows: 7 },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_are_superseded_whether_or_not_the_keys_fit_into_memory() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let (_folder, lake) = lake().await;
        // From hardly any duplicates to hardly anything else.
        let keys = [2_000, 300, 100, 30, 5, 1][seed as usize];
        let (mut rows, mut newest) = (0, BTreeMap::new());
        for _ in 0..5 {
            let mut commit: BTreeMap<String, i64> = BTreeMap::new();
            for _ in 0..random.below(60) + 1 {
                let id = format!("{:08x}-0000-4000-8000-000000000000", random.below(keys));
                commit.insert(id, random.below(4) as i64);
            }
            // A later version was modified later.
            let commit: Vec<_> =
                commit.iter().map(|(id, version)| (id.as_str(), version * 3_600, *version, "")).collect();
            let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Append);
            changes.push(Some(week()), events(&commit)).await.unwrap();
            changes.commit("run-1").await.unwrap();
            rows += commit.len();
            for (id, _, version, _) in commit {
                let newest = newest.entry(id.to_owned()).or_insert(version);
                *newest = version.max(*newest);
            }
        }
        let snapshot = lake.inner.log(&COPILOT_EVENT).snapshot().await.unwrap().unwrap();
        let mut found = Vec::new();
        for limits in LIMITS {
            found.push(all_superseded(&lake.inner.storage, &snapshot, limits).await.unwrap());
        }
        assert!(found.iter().all(|of_limits| *of_limits == found[0]), "{seed}: {found:?}");
        let superseded: usize = found[0].values().map(Vec::len).sum();
        assert_eq!(superseded, rows - newest.len(), "{seed}: one row of each key stays");

        // It is the newest one.
        let log = lake.inner.log(&COPILOT_EVENT);
        let removed = crate::merge::dedupe::remove_duplicates(&lake.inner.storage, &log).await.unwrap();
        assert_eq!(removed as usize, superseded);
        let scan = Scan { columns: vec!["msdyn_copiloteventid", "versionnumber"], ..Scan::default() };
        let batches = lake.scan(&COPILOT_EVENT, scan).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        assert_eq!(versions(&batches), newest, "{seed}");
    }
}
