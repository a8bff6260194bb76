//! The rows of one day, made of sessions: what one representative does with one response.

use std::collections::HashMap;
use std::sync::LazyLock;

use copilot_lake_tables::{INTERACTION_TYPE, SCENARIO_TYPE};
use serde::Deserialize;

use crate::data::random::{Random, mix};
use crate::data::representatives::People;
use crate::data::row_facts::{AVAILABLE, GENERATED, RowFacts, THUMBS_CLEAR, THUMBS_DOWN, THUMBS_UP};
use crate::data::template::parse;

/// How Copilot is used.
#[derive(Debug)]
struct Usage {
    /// How much is done in each hour of a day.
    hours: Vec<u32>,
    /// In order of their codes.
    scenarios: Vec<ScenarioUsage>,
}

#[derive(Debug)]
struct ScenarioUsage {
    code: i32,
    weight: u32,
    /// What happens to a response, in permille.
    actions: Vec<(i32, u64)>,
}

/// The same in the words of `templates/usage.toml`.
#[derive(Debug, Deserialize)]
struct UsageTexts {
    hours: Vec<u32>,
    /// Weight and kind by label.
    scenarios: HashMap<String, (u32, String)>,
    actions: HashMap<String, Vec<(String, u64)>>,
}

static USAGE: LazyLock<Usage> = LazyLock::new(|| {
    let texts: UsageTexts = parse("usage.toml", include_str!("../../templates/usage.toml"));
    let named = |(name, permille): &(String, u64)| {
        let code = INTERACTION_TYPE.options.iter().find(|(_, label)| label == name).map(|(code, _)| *code);
        (code.unwrap_or_else(|| unreachable!("no interaction `{name}`")), *permille)
    };
    let scenario = |(code, label): &(i32, &str)| {
        let (weight, kind) = texts.scenarios.get(*label)?;
        let actions = texts.actions.get(kind).unwrap_or_else(|| unreachable!("no actions `{kind}`"));
        Some(ScenarioUsage { code: *code, weight: *weight, actions: actions.iter().map(named).collect() })
    };
    Usage { hours: texts.hours, scenarios: SCENARIO_TYPE.options.iter().filter_map(scenario).collect() }
});

/// The share of rows that only say that Copilot was available, in permille.
const AVAILABLE_SHARE: u64 = 180;

/// Generates the rows of one day; equal arguments give equal rows.
pub(crate) struct Day<'a> {
    pub(crate) seed: u64,
    /// Seconds since the Unix epoch: half-open.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) rows: usize,
    /// Whether the day before had sessions whose rating may arrive today.
    pub(crate) follows: bool,
    /// Whether only scenarios and interactions occur that the older table knows.
    pub(crate) older: bool,
    pub(crate) people: &'a People,
}

/// The older table knows this many of the scenarios, the first ones.
const OLDER_SCENARIOS: usize = 20;

/// Whether the older table's choices include an interaction.
pub(crate) const fn is_older(kind: i32) -> bool {
    matches!(kind, 100_230_301..=100_230_319 | 100_230_325)
}

impl Day<'_> {
    /// The day's rows in order of creation, without versions.
    pub(crate) fn facts(&self) -> Vec<RowFacts> {
        let mut facts = Vec::with_capacity(self.rows + 16);
        if self.follows && self.rows > 4 {
            facts.extend(self.late_rating());
        }
        let mut number = 0;
        while facts.len() < self.rows {
            self.session(number, &mut facts);
            number += 1;
        }
        facts.truncate(self.rows);
        facts.sort_by_key(|facts| facts.created);
        facts
    }

    /// A rating of yesterday's first response, which may fall in another week than the response.
    fn late_rating(&self) -> Option<RowFacts> {
        let yesterday = Day { start: self.start - (self.end - self.start), end: self.start, rows: 1, ..*self };
        let mut facts = Vec::new();
        yesterday.session(0, &mut facts);
        let response = facts.first().filter(|facts| facts.kind == GENERATED)?;
        let mut random = Random::new(mix(self.seed, self.start as u64 + 7));
        let kind = random.weighted(&[(THUMBS_UP, 2), (THUMBS_DOWN, 1)]);
        let created = self.start + random.below(9 * 3_600) as i64;
        Some(RowFacts { seed: random.next(), created, client: created, modified: created, kind, ..response.clone() })
    }

    fn session(&self, number: u64, facts: &mut Vec<RowFacts>) {
        let mut random = Random::new(mix(mix(self.seed, self.start as u64), number));
        let known = &USAGE.scenarios[..if self.older { OLDER_SCENARIOS } else { USAGE.scenarios.len() }];
        let ScenarioUsage { code: scenario, actions, .. } =
            &known[random.index(known.iter().map(|known| known.weight))];
        // The first session is always a response without a rating: tomorrow's late rating is for it.
        let first = number == 0;
        let available = !first && random.chance(AVAILABLE_SHARE * 2);
        let started = match number {
            1 => self.end - 1,
            2 => self.start,
            _ => self.moment(&mut random),
        };
        let request = if available { 0 } else { random.next() | 1 };
        let person = self.people.choose(&mut random);
        let session = random.next();
        let mut now = started;
        let mut push = |kind: i32, wait: i64, random: &mut Random| {
            now = (now + wait).min(self.end - 1);
            let client = now - random.weighted(&[(0, 5), (1, 5), (2, 2), (4, 1), (7, 1)]);
            // The service modifies some rows again minutes later.
            let modified = if random.chance(20) { (now + random.below(1_800) as i64).min(self.end - 1) } else { now };
            let seed = random.next();
            let answer = RowFacts::answer(seed, now);
            facts.push(RowFacts { client, modified, scenario: *scenario, kind, request, session, person, ..answer });
        };
        if available {
            push(AVAILABLE, 0, &mut random);
            return;
        }
        push(GENERATED, 0, &mut random);
        for (kind, permille) in actions {
            if random.chance(*permille) && (!self.older || is_older(*kind)) {
                let wait = random.below(25) as i64;
                push(*kind, wait, &mut random);
            }
        }
        if !first && random.chance(130) {
            let ratings: &[i32] = random.weighted(&[
                (&[THUMBS_UP][..], 58),
                (&[THUMBS_DOWN][..], 28),
                (&[THUMBS_UP, THUMBS_CLEAR][..], 4),
                (&[THUMBS_DOWN, THUMBS_CLEAR][..], 3),
                (&[THUMBS_UP, THUMBS_CLEAR, THUMBS_DOWN][..], 5),
                (&[THUMBS_DOWN, THUMBS_UP][..], 2),
            ]);
            for kind in ratings {
                let wait = 2 + random.below(12) as i64;
                push(*kind, wait, &mut random);
            }
        }
    }

    /// A time of the day; mostly working hours.
    fn moment(&self, random: &mut Random) -> i64 {
        let length = self.end - self.start;
        let at = random.index(USAGE.hours.iter().copied()) as i64 * 3_600 + random.below(3_600) as i64;
        self.start + at.min(length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::USAGE;

    #[test]
    fn every_scenario_of_the_service_is_used() {
        let codes: Vec<_> = USAGE.scenarios.iter().map(|scenario| scenario.code).collect();
        assert_eq!(codes, copilot_lake_tables::SCENARIO_TYPE.options.iter().map(|option| option.0).collect::<Vec<_>>());
        assert!(USAGE.scenarios.iter().all(|scenario| scenario.actions.len() >= 4) && USAGE.hours.len() == 24);
    }
}
