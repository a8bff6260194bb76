//! The rows of one day, made of sessions: what one representative does with one response.

use crate::data::random::{Random, mix};
use crate::data::representatives::People;
use crate::data::row_facts::{AVAILABLE, GENERATED, RowFacts, THUMBS_CLEAR, THUMBS_DOWN, THUMBS_UP};

/// How often each scenario is used. Their codes count from 100230201, those that the older table does not know from
/// 100230321.
const SCENARIOS: [u32; 25] =
    [280, 120, 90, 30, 130, 100, 40, 20, 20, 12, 30, 14, 28, 10, 18, 40, 6, 12, 14, 10, 8, 8, 6, 6, 4];

/// How much is done in each hour of a day.
const HOURS: [u32; 24] = [2, 1, 1, 1, 2, 4, 20, 60, 100, 120, 110, 80, 60, 90, 110, 100, 70, 40, 20, 12, 8, 6, 4, 3];

/// What happens to a response, in permille, by the kind of scenario.
const fn actions(scenario: i32) -> &'static [(i32, u64)] {
    match scenario {
        100_230_201 | 100_230_204 => {
            &[(100_230_326, 120), (100_230_304, 240), (100_230_308, 80), (100_230_306, 90), (100_230_307, 60)]
        }
        100_230_202 | 100_230_213 | 100_230_216 => {
            &[(100_230_312, 120), (100_230_306, 280), (100_230_307, 180), (100_230_304, 80), (100_230_328, 20)]
        }
        100_230_203 | 100_230_211 => &[
            (100_230_325, 100),
            (100_230_319, 90),
            (100_230_318, 50),
            (100_230_327, 60),
            (100_230_321, 280),
            (100_230_316, 300),
            (100_230_317, 160),
            (100_230_320, 230),
        ],
        100_230_208 | 100_230_214 => &[(100_230_310, 350), (100_230_311, 200), (100_230_316, 200), (100_230_317, 120)],
        100_230_212 | 100_230_215 | 100_230_218 | 100_230_321..=100_230_325 => {
            &[(100_230_315, 120), (100_230_322, 300), (100_230_323, 180), (100_230_324, 80), (100_230_311, 100)]
        }
        _ => &[(100_230_314, 200), (100_230_304, 120), (100_230_311, 80), (100_230_313, 60), (100_230_328, 40)],
    }
}

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
        let known = if self.older { &SCENARIOS[..OLDER_SCENARIOS] } else { &SCENARIOS[..] };
        let scenario = random.index(known.iter().copied());
        let scenario = scenario as i32 + if scenario < OLDER_SCENARIOS { 100_230_201 } else { 100_230_301 };
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
            facts.push(RowFacts { client, modified, scenario, kind, request, session, person, ..answer });
        };
        if available {
            push(AVAILABLE, 0, &mut random);
            return;
        }
        push(GENERATED, 0, &mut random);
        for (kind, permille) in actions(scenario) {
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
        let at = random.index(HOURS.into_iter()) as i64 * 3_600 + random.below(3_600) as i64;
        self.start + at.min(length - 1)
    }
}
