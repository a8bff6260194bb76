//! The rows of other tables that a row may reference: those that exist.

use std::collections::{HashMap, HashSet};

use crate::data::context_json::ChatReference;
use crate::data::random::{guid_text, hash, mix};
use crate::data::row_facts::{GENERATED, QUESTION, RowFacts};

/// What exists for rows to reference.
#[derive(Debug, Default)]
pub(crate) struct RowLinks {
    /// Whether the chat tables have rows; contexts then reference only those.
    pub(crate) chats_exist: bool,
    /// Sessions whose chat is in every chat table that has rows.
    pub(crate) chats: HashSet<u64>,
    /// Sessions whose chat has a row in the table of headers.
    pub(crate) transcripts: HashSet<u64>,
    /// Seeds of the older interactions whose content has a row.
    pub(crate) contents: HashSet<u64>,
    /// The facts behind the Files of chats, by hash of the File's id.
    pub(crate) files: HashMap<u64, RowFacts>,
}

/// The File column of chats.
const MESSAGES: &str = "msdyn_transcriptdata";

impl RowLinks {
    /// Whether the context of a row names its chat.
    pub(crate) fn chat(&self, facts: &RowFacts) -> ChatReference {
        let asks = facts.kind == GENERATED && facts.scenario == QUESTION;
        match (self.chats_exist, asks && self.chats.contains(&facts.session)) {
            (false, _) => ChatReference::Unknown,
            (true, true) => ChatReference::Kept,
            (true, false) => ChatReference::Absent,
        }
    }

    /// The facts behind the File of a chat.
    pub(crate) fn file(&self, id: &str) -> Option<&RowFacts> {
        self.files.get(&hash(id.as_bytes()))
    }
}

/// The seed of the id of a row's File.
pub(crate) fn file_seed(facts: &RowFacts, column: &str) -> u64 {
    mix(facts.seed, hash(column.as_bytes()))
}

/// The facts behind the Files of chats, by hash of the File's id.
pub(crate) fn files_of(rows: &[RowFacts]) -> HashMap<u64, RowFacts> {
    let number = |facts: &RowFacts| hash(guid_text(file_seed(facts, MESSAGES)).as_bytes());
    rows.iter().map(|facts| (number(facts), facts.clone())).collect()
}
