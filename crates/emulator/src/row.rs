//! What a made-up row is before it is text, and the text of its values.

use copilot_lake_tables::{Instant, Week};

use crate::random::{Random, mix};

/// The facts of a row from which everything else in it follows.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Values that have no fact of their own follow from this.
    pub(crate) seed: u64,
    /// Seconds since the Unix epoch, as the next three.
    pub(crate) created: i64,
    pub(crate) client: i64,
    pub(crate) modified: i64,
    pub(crate) version: i64,
    pub(crate) scenario: i32,
    pub(crate) kind: i32,
    /// The request that a response and its feedback share; 0 for none.
    pub(crate) request: u64,
    /// The conversation or case that was worked on.
    pub(crate) session: u64,
    pub(crate) person: u16,
}

pub(crate) const GENERATED: i32 = 100_230_305;
pub(crate) const AVAILABLE: i32 = 100_230_309;
pub(crate) const THUMBS_UP: i32 = 100_230_301;
pub(crate) const THUMBS_DOWN: i32 = 100_230_302;
pub(crate) const THUMBS_CLEAR: i32 = 100_230_303;

impl Facts {
    /// A generator for one value: the salt says which.
    pub(crate) const fn random(&self, salt: u64) -> Random {
        Random::new(mix(self.seed, salt))
    }

    pub(crate) const fn week(&self) -> Week {
        Week::of(Instant::from_seconds(self.created))
    }

    /// Whether an autonomous agent made the row, and which.
    pub(crate) const fn agent(&self) -> Option<i32> {
        let agent = match self.scenario {
            100_230_218 => 192_350_003,
            100_230_220 => 192_350_002,
            // Written by people and by agents alike.
            100_230_321 if self.session.is_multiple_of(2) => 192_350_003,
            100_230_322 if self.session.is_multiple_of(2) => 192_350_001,
            100_230_323 if self.session.is_multiple_of(2) => 192_350_004,
            _ => return None,
        };
        Some(agent)
    }
}

/// The salt of a row's id.
pub(crate) const ID: u64 = 1;
