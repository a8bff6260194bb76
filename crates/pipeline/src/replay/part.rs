//! Which part of an archive a process replays: everything, one of several shards, or what is left after all shards.
//!
//! Shards can be committed in any order, because no two of them depend on each other: payloads and histories go by the
//! key that their rows belong to, and pages only where a newer row replaces an older one as a whole. What needs the rows
//! of other shards waits for the last part.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher as _;

use copilot_lake_tables::{AI_INTERACTION, PAYLOAD};
use siphasher::sip::SipHasher13;

use super::is_independent;
use super::read_description::ArchivedSlice;

/// Which part of an archive is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPart {
    /// Everything.
    Whole,
    /// One shard of several.
    Shard(Shard),
    /// What needs the rows of all shards.
    Rest,
}

/// One shard of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    fn has(self, key: &str) -> bool {
        stable_hash(key.as_bytes()) % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl ReplayPart {
    /// Whether payloads and histories with that key belong to the part.
    pub(super) fn takes_key(self, key: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Shard(shard) => shard.has(key),
            Self::Rest => false,
        }
    }

    /// The slices of the part; of payloads and histories some are taken.
    pub(super) fn of(self, slices: Vec<ArchivedSlice>) -> Vec<ArchivedSlice> {
        let mut selections: BTreeMap<String, Option<String>> = BTreeMap::new();
        for ArchivedSlice { about, .. } in &slices {
            let same = selections.entry(about.table.clone()).or_insert_with(|| Some(about.selection.clone()));
            if same.as_ref() != Some(&about.selection) {
                *same = None;
            }
        }
        // Columns that were not read are carried over from the row that is replaced.
        let replaces_whole_rows =
            |slice: &ArchivedSlice| selections.get(&slice.about.table).is_some_and(Option::is_some);
        let is_split =
            |slice: &ArchivedSlice| [PAYLOAD.name, AI_INTERACTION.name].contains(&slice.about.table.as_str());
        let is_of_shards =
            |slice: &ArchivedSlice| is_split(slice) || (is_independent(slice) && replaces_whole_rows(slice));
        let takes = |slice: &ArchivedSlice| match self {
            Self::Whole => true,
            Self::Shard(shard) => is_of_shards(slice) && (is_split(slice) || shard.has(&identity(slice))),
            Self::Rest => !is_of_shards(slice),
        };
        slices.into_iter().filter(takes).collect()
    }
}

/// What tells an archive from others, wherever it is: the same whatever the order of its slices.
pub(super) fn archive_id(slices: &[ArchivedSlice]) -> String {
    let mut identities: Vec<String> = slices.iter().map(identity).collect();
    identities.sort_unstable();
    format!("{:016x}", stable_hash(identities.join("\n").as_bytes()))
}

fn identity(slice: &ArchivedSlice) -> String {
    let about = &slice.about;
    let parts = [&about.run_id, &about.table, &about.time_column, &about.scope, &about.window_start, &about.window_end];
    parts.map(String::as_str).join(" ")
}

/// A hash that is the same in every build and on every machine.
fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_belongs_to_one_shard_and_none_to_the_rest() {
        for key in (0..1_000).map(|number| format!("key {number}")) {
            assert!(ReplayPart::Whole.takes_key(&key) && !ReplayPart::Rest.takes_key(&key));
            let takes = |number| ReplayPart::Shard(Shard { number, of: 4 }).takes_key(&key);
            assert_eq!((1..=4).filter(|number| takes(*number)).count(), 1, "{key}");
        }
    }

    /// Shards of one archive may be replayed by builds of different ages.
    #[test]
    fn hashes_never_change() {
        assert_eq!(stable_hash(b"run msdyn_copilotevent"), 0);
        let first = (0..8).map(|number| Shard { number: 1, of: 2 }.has(&format!("{number}"))).collect::<Vec<_>>();
        assert_eq!(first, [false; 8]);
    }
}
