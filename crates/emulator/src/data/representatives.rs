//! The representatives, their business units and teams.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::{Random, guid_text, mix};
use crate::data::template::parse;
use crate::data::texts::Language;

/// What made-up people are called, and what they are: `templates/people.toml`.
#[derive(Debug, Deserialize)]
pub(crate) struct PeopleTexts {
    pub(crate) first_names: Vec<String>,
    pub(crate) last_names: Vec<String>,
    units: Vec<String>,
    titles: Vec<String>,
    /// Who is mentioned in prompts.
    pub(crate) mentioned: String,
    /// Properties of users in Microsoft 365.
    pub(crate) properties: HashMap<String, PropertyTexts>,
}

/// The values of a property, and how many users of a thousand lack it.
#[derive(Debug, Deserialize)]
pub(crate) struct PropertyTexts {
    pub(crate) missing: u64,
    pub(crate) values: Vec<String>,
}

pub(crate) static PEOPLE: LazyLock<PeopleTexts> =
    LazyLock::new(|| parse("people.toml", include_str!("../../templates/people.toml")));

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

impl People {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let (seed, texts) = (mix(seed, 0x7065_6F70), &*PEOPLE);
        let ids = |first: u64| texts.units.iter().zip(first..).map(|(_, n)| guid_text(mix(seed, n))).collect();
        let (units, teams): (Vec<_>, Vec<_>) = (ids(1_000), ids(2_000));
        let text = |of: &'static [String], n: u64| of[n as usize % of.len()].as_str();
        let person = |n: u64, language| Representative {
            id: guid_text(mix(seed, 10_000 + n)),
            unit: units[n as usize % units.len()].clone(),
            team: teams[n as usize % teams.len()].clone(),
            language,
            name: format!("{} {}", text(&texts.first_names, n), text(&texts.last_names, n / 2)),
            title: (n % 9 != 8).then(|| text(&texts.titles, n)),
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
        for (name, (unit, team)) in texts.units.iter().zip(units.into_iter().zip(teams)) {
            names.insert(unit, name.clone());
            names.insert(team, format!("Team {name}"));
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
