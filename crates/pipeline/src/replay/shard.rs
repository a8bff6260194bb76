//! Shards of an archive: which of several processes replays what.
//!
//! What has to be replayed in order is in one shard: the pages of a table, the payloads of a row, the history of a user.
//! So no two shards write rows of one key, none needs the rows of another, and they may be committed in any order.
//! Deletions concern the rows of a table and their payloads: every shard applies them to what it has.

use std::fmt;
use std::hash::Hasher as _;

use copilot_lake_tables::{AI_INTERACTION, PAYLOAD};
use siphasher::sip::SipHasher13;

use super::read_description::ArchivedSlice;
use crate::ledger::windows::TRACKING;

/// One of several shards of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub(super) number: u32,
    /// How many there are.
    pub(super) of: u32,
}

impl Shard {
    /// Reads a number and how many there are, as in `1/4`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let shard = Self { number: number.parse().ok()?, of: of.parse().ok()? };
        (1..=shard.of).contains(&shard.number).then_some(shard)
    }

    /// Whether it has what is known by this key: the name of a table, or the id of a row or of a user.
    pub(super) fn has(self, key: &str) -> bool {
        stable_hash(key) % u64::from(self.of) == u64::from(self.number - 1)
    }

    /// Whether it has a slice, or some of its payloads, histories or deletions.
    pub(super) fn has_some_of(self, slice: &ArchivedSlice) -> bool {
        let about = &slice.about;
        [PAYLOAD.name, AI_INTERACTION.name].contains(&about.table.as_str())
            || about.time_column == TRACKING
            || self.has(&about.table)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What tells an archive from others, wherever it is.
pub(super) fn archive_id(slices: &[ArchivedSlice]) -> String {
    let identities = slices.iter().map(|slice| {
        let about = &slice.about;
        let window = [&about.time_column, &about.window_start, &about.window_end, &about.finished_at];
        [&about.run_id, &about.table, &about.scope].into_iter().chain(window).map(String::as_str).collect::<Vec<_>>()
    });
    let mut identities: Vec<String> = identities.map(|identity| identity.join(" ")).collect();
    identities.sort_unstable();
    format!("{:016x}", stable_hash(&identities.join("\n")))
}

/// A hash that is the same in every build and on every machine.
fn stable_hash(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!(Shard::parse("2/4"), Some(Shard { number: 2, of: 4 }));
        assert_eq!(Shard::parse("1/1").unwrap().to_string(), "1/1");
        for text in ["0/4", "5/4", "1/0", "1", "1/", "/4", "1/4/2", "-1/4", "a/b", ""] {
            assert_eq!(Shard::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_in_one_shard() {
        let mut counts = [0; 4];
        for key in (0..1_000).map(|number| format!("key {number}")) {
            let of: Vec<_> = (1..=4).filter(|number| Shard { number: *number, of: 4 }.has(&key)).collect();
            assert_eq!(of.len(), 1, "{key}: {of:?}");
            counts[of[0] as usize - 1] += 1;
        }
        assert!(counts.iter().all(|count| *count > 150), "{counts:?}");
    }

    /// Processes of different builds share the work.
    #[test]
    fn hashes_never_change() {
        assert_eq!(stable_hash("msdyn_copilotevent"), 0x880a_4da8_5ce4_6935);
        assert_eq!(stable_hash("graph_user"), 0x8105_8a9d_2677_566c);
    }
}
