//! The representatives, their business units and teams.

use std::collections::HashMap;

use crate::data::random::{Random, guid_text, mix};

/// The language of a representative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    French,
}

impl Language {
    /// The language of a person, by number.
    pub(crate) const fn of(person: u64) -> Self {
        match person % 10 {
            0..=5 => Self::English,
            6..=8 => Self::German,
            _ => Self::French,
        }
    }
}

/// A representative, whose work produces rows.
#[derive(Debug)]
pub(crate) struct Representative {
    pub(crate) id: String,
    pub(crate) unit: String,
    pub(crate) team: String,
    pub(crate) language: Language,
    pub(crate) name: String,
    pub(crate) title: Option<&'static str>,
    /// The object id in Microsoft Entra ID.
    pub(crate) object: String,
    pub(crate) disabled: bool,
}

/// Everyone in the environment.
#[derive(Debug)]
pub(crate) struct People {
    people: Vec<Representative>,
    /// The application user of autonomous agents.
    pub(crate) service: Representative,
    /// The names of everyone, every unit and every team, by id.
    names: HashMap<String, String>,
}

pub(crate) const FIRST: &[&str] = &[
    "Amira", "Jonas", "Chloé", "Marta", "Tariq", "Sofía", "Björn", "Wanjiru", "Luca", "Hana", "Émile", "Priya", "Oskar",
];
pub(crate) const LAST: &[&str] = &[
    "Okafor",
    "Lindqvist",
    "Müller",
    "Nakamura",
    "Dubois",
    "Kowalska",
    "Haddad",
    "O’Brien",
    "Rossi",
    "Grünwald",
    "Petrov",
];
const UNITS: [&str; 4] = ["Service North", "Service South", "Service West", "Back Office"];
const TITLES: &[&str] = &["Service representative", "Senior service representative", "Team lead", "Kundenberaterin"];

impl People {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let seed = mix(seed, 0x7065_6F70);
        let units: Vec<_> = (0..4).map(|n| guid_text(mix(seed, 1_000 + n))).collect();
        let teams: Vec<_> = (0..4).map(|n| guid_text(mix(seed, 2_000 + n))).collect();
        let person = |n: u64, language| Representative {
            id: guid_text(mix(seed, 10_000 + n)),
            unit: units[n as usize % units.len()].clone(),
            team: teams[n as usize % teams.len()].clone(),
            language,
            name: format!("{} {}", FIRST[n as usize % FIRST.len()], LAST[n as usize / 2 % LAST.len()]),
            title: (n % 9 != 8).then(|| TITLES[n as usize % TITLES.len()]),
            object: guid_text(mix(seed, 3_000_000 + n)),
            disabled: n % 17 == 16,
        };
        let people: Vec<_> = (0..count.max(1) as u64).map(|n| person(n, Language::of(n))).collect();
        let service = Representative {
            name: "# Copilot agents".to_owned(),
            title: None,
            disabled: false,
            ..person(9_999, Language::English)
        };
        let mut names: HashMap<_, _> =
            people.iter().chain([&service]).map(|person| (person.id.clone(), person.name.clone())).collect();
        for (at, name) in UNITS.into_iter().enumerate() {
            names.insert(units[at].clone(), name.to_owned());
            names.insert(teams[at].clone(), format!("Team {name}"));
        }
        Self { people, service, names }
    }

    pub(crate) fn get(&self, at: u16) -> &Representative {
        &self.people[usize::from(at) % self.people.len()]
    }

    /// How many there are, including the agents' user.
    pub(crate) fn len(&self) -> usize {
        self.people.len() + 1
    }

    /// Everyone by number, the agents' user last.
    pub(crate) fn user(&self, at: u16) -> Option<&Representative> {
        self.people.iter().chain([&self.service]).nth(usize::from(at))
    }

    /// The name of a person, a unit or a team.
    pub(crate) fn name(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Picks a representative; those with low numbers are busier.
    pub(crate) fn choose(&self, random: &mut Random) -> u16 {
        let count = self.people.len() as u64;
        let (a, b) = (random.below(count), random.below(count));
        a.min(b) as u16
    }
}
