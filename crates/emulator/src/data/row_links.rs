//! Which rows of other tables a row may name: those that are there.

use std::collections::{HashMap, HashSet};

use crate::data::interaction_context::Chat;
use crate::data::random::{guid_text, hash, mix};
use crate::data::row_facts::{ASK, Facts, GENERATED};

/// What the tables have for each other.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Whether the tables of chats have rows: then contexts name only those.
    pub(crate) chats_exist: bool,
    /// Sessions whose chat is in every table of chats that has rows.
    pub(crate) chats: HashSet<u64>,
    /// Sessions whose chat the table of headers has.
    pub(crate) transcripts: HashSet<u64>,
    /// Seeds of the older interactions whose content has a row.
    pub(crate) contents: HashSet<u64>,
    /// The facts behind the Files of chats, by the number of the File's id.
    pub(crate) files: HashMap<u64, Facts>,
}

/// The column of the Files of chats.
const MESSAGES: &str = "msdyn_transcriptdata";

impl Links {
    /// Which chat the context of a row names.
    pub(crate) fn chat(&self, facts: &Facts) -> Chat {
        let asks = facts.kind == GENERATED && facts.scenario == ASK;
        match (self.chats_exist, asks && self.chats.contains(&facts.session)) {
            (false, _) => Chat::Unknown,
            (true, true) => Chat::Kept,
            (true, false) => Chat::Absent,
        }
    }

    /// The facts of the chat that a File holds.
    pub(crate) fn file(&self, id: &str) -> Option<&Facts> {
        self.files.get(&hash(id.as_bytes()))
    }
}

/// The number from which the id of a row's File is made.
pub(crate) fn file_seed(facts: &Facts, column: &str) -> u64 {
    mix(facts.seed, hash(column.as_bytes()))
}

/// The facts behind the Files of chats, by the number of the File's id.
pub(crate) fn files_of(rows: &[Facts]) -> HashMap<u64, Facts> {
    let number = |facts: &Facts| hash(guid_text(file_seed(facts, MESSAGES)).as_bytes());
    rows.iter().map(|facts| (number(facts), facts.clone())).collect()
}
