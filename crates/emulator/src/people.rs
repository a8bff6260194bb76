//! The representatives, their business units and teams.

use crate::random::{Random, guid_text, mix};

/// The language that a representative writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    French,
}

/// Someone who makes rows.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) unit: String,
    pub(crate) team: String,
    pub(crate) language: Language,
}

/// Everyone in the environment.
#[derive(Debug)]
pub(crate) struct People {
    people: Vec<Person>,
    /// The application user as which autonomous agents work.
    pub(crate) service: Person,
}

impl People {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let seed = mix(seed, 0x7065_6F70);
        let units: Vec<_> = (0..4).map(|n| guid_text(mix(seed, 1_000 + n))).collect();
        let teams: Vec<_> = (0..4).map(|n| guid_text(mix(seed, 2_000 + n))).collect();
        let person = |n: u64, language| Person {
            id: guid_text(mix(seed, 10_000 + n)),
            unit: units[n as usize % units.len()].clone(),
            team: teams[n as usize % teams.len()].clone(),
            language,
        };
        let people = (0..count.max(1) as u64).map(|n| {
            let language = match n % 10 {
                0..=5 => Language::English,
                6..=8 => Language::German,
                _ => Language::French,
            };
            person(n, language)
        });
        Self { people: people.collect(), service: person(9_999, Language::English) }
    }

    pub(crate) fn get(&self, at: u16) -> &Person {
        &self.people[usize::from(at) % self.people.len()]
    }

    /// A person; the first ones more often than the last.
    pub(crate) fn choose(&self, random: &mut Random) -> u16 {
        let count = self.people.len() as u64;
        let (a, b) = (random.below(count), random.below(count));
        a.min(b) as u16
    }
}
