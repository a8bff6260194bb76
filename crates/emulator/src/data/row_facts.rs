//! The facts behind a generated row.

use std::io::Write;

use copilot_lake_tables::{Instant, SYSTEM_USER, Table, Week};

use crate::data::random::{Random, mix};
use crate::emulated_tables::{CONTENTS, EVENTS, INSIGHTS, INTERACTIONS, MESSAGES, TRANSCRIPTS};
use crate::error::Error;

/// The facts from which every value of a row follows.
#[derive(Debug, Clone)]
pub(crate) struct RowFacts {
    /// The seed of values that have no fact of their own.
    pub(crate) seed: u64,
    /// Seconds since the Unix epoch, like the next two.
    pub(crate) created: i64,
    pub(crate) client: i64,
    pub(crate) modified: i64,
    pub(crate) version: i64,
    pub(crate) scenario: i32,
    pub(crate) kind: i32,
    /// The request that a response and its feedback share; 0 for none.
    pub(crate) request: u64,
    /// The conversation or case.
    pub(crate) session: u64,
    pub(crate) person: u16,
}

pub(crate) const QUESTION: i32 = 100_230_201;
pub(crate) const GENERATED: i32 = 100_230_305;
pub(crate) const AVAILABLE: i32 = 100_230_309;
pub(crate) const THUMBS_UP: i32 = 100_230_301;
pub(crate) const THUMBS_DOWN: i32 = 100_230_302;
pub(crate) const THUMBS_CLEAR: i32 = 100_230_303;

impl RowFacts {
    /// An answer to a question, made and last modified at one time, in a session of its own.
    pub(crate) const fn answer(seed: u64, created: i64) -> Self {
        let (client, modified, session) = (created, created, mix(seed, 2));
        let (scenario, kind, request) = (QUESTION, GENERATED, mix(seed, 1) | 1);
        Self { seed, created, client, modified, version: 0, scenario, kind, request, session, person: 0 }
    }

    /// The generator for one value, chosen by the salt.
    pub(crate) const fn random(&self, salt: u64) -> Random {
        Random::new(mix(self.seed, salt))
    }

    pub(crate) const fn week(&self) -> Week {
        Week::of(Instant::from_seconds(self.created))
    }

    /// Appends `20250622-20250628-100230203`: first and last day of the week, then the scenario.
    pub(crate) fn partition(&self, out: &mut Vec<u8>) {
        let first = self.week().start_days();
        // Writing to memory cannot fail.
        for day in [first, first + 6] {
            let start = out.len();
            let _ = write!(out, "{}", Instant::from_days(day));
            out.truncate(start + 10);
            out.remove(start + 7);
            out.remove(start + 4);
            out.push(b'-');
        }
        let _ = write!(out, "{}", self.scenario);
    }

    /// The autonomous agent that made the row, if any.
    pub(crate) const fn agent(&self) -> Option<i32> {
        let agent = match self.scenario {
            100_230_218 => 192_350_003,
            100_230_220 => 192_350_002,
            // Both people and agents write these.
            100_230_321 if self.session.is_multiple_of(2) => 192_350_003,
            100_230_322 if self.session.is_multiple_of(2) => 192_350_001,
            100_230_323 if self.session.is_multiple_of(2) => 192_350_004,
            _ => return None,
        };
        Some(agent)
    }

    /// The table of the row that Copilot was used for.
    pub(crate) const fn for_table(&self) -> &'static str {
        match self.scenario {
            _ if self.kind == AVAILABLE && self.seed.is_multiple_of(3) => "systemuser",
            100_230_209 => "account",
            QUESTION | 100_230_202 | 100_230_206 | 100_230_213 | 100_230_216 => CONVERSATION,
            _ => "incident",
        }
    }

    /// The seed of the id of the row that Copilot was used for.
    pub(crate) const fn subject(&self) -> u64 {
        mix(self.session, 4)
    }
}

/// The table of conversations.
pub(crate) const CONVERSATION: &str = "msdyn_ocliveworkitem";

/// How row ids follow from facts, by table, so that rows of different tables can reference each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A row of the newer table of interactions.
    Event,
    /// A row of the older table of interactions.
    Interaction,
    /// The content of an older interaction.
    Content,
    /// The chat of a session.
    Transcript,
    /// The messages of that chat.
    Messages,
    /// The insight into a session's conversation.
    Insight,
    /// A person.
    User,
}

impl Identity {
    /// Fails for a table whose rows the emulator does not know how to identify.
    pub(crate) fn for_table(table: &Table) -> Result<Self, Error> {
        Ok(match table.name {
            EVENTS => Self::Event,
            INTERACTIONS => Self::Interaction,
            CONTENTS => Self::Content,
            TRANSCRIPTS => Self::Transcript,
            MESSAGES => Self::Messages,
            INSIGHTS => Self::Insight,
            name if name == SYSTEM_USER.name => Self::User,
            name => return Err(Error::scenario(format!("no rule for the ids of rows of table `{name}`"))),
        })
    }

    /// The seed of the row's id.
    pub(crate) const fn seed(self, facts: &RowFacts) -> u64 {
        match self {
            // Half of the rows in both tables have the same id in both.
            Self::Interaction if facts.seed.is_multiple_of(2) => mix(facts.seed, 21),
            Self::Event | Self::Interaction | Self::User => mix(facts.seed, 1),
            Self::Content => mix(facts.seed, 22),
            Self::Transcript => mix(facts.session, 2),
            Self::Messages => mix(facts.session, 3),
            Self::Insight => mix(facts.session, 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::{AI_INTERACTION, Instant};

    use super::{Identity, RowFacts};
    use crate::emulated_tables::tables;

    #[test]
    fn every_table_has_a_rule_for_its_ids_and_an_unknown_one_is_refused() {
        assert!(tables().all(|table| Identity::for_table(table).is_ok()));
        assert!(Identity::for_table(&AI_INTERACTION).is_err());
    }

    #[test]
    fn partitions_name_the_week_and_the_scenario() {
        let created = Instant::parse("2025-06-28T23:59:59Z").unwrap().0 / 1_000_000;
        let facts = RowFacts { scenario: 100_230_203, ..RowFacts::answer(1, created) };
        let mut out = b"x".to_vec();
        facts.partition(&mut out);
        assert_eq!(out, b"x20250622-20250628-100230203");
    }
}
