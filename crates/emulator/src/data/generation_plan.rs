//! What to generate for a table: how many rows on each day.

use copilot_lake_tables::{Instant, Week};

use crate::data::generated_day::Day;
use crate::data::random::{hash, mix};
use crate::data::representatives::People;
use crate::data::row_facts::RowFacts;
use crate::emulated_tables::{EVENTS, INTERACTIONS};
use crate::scenario::definition::Scenario;
use crate::scenario::specs::TableData;

/// What to generate.
#[derive(Debug, Clone)]
pub(crate) struct GenerationPlan {
    pub(crate) seed: u64,
    pub(crate) rows: usize,
    /// The first and the last day, in days since the Unix epoch.
    pub(crate) first_day: i32,
    pub(crate) last_day: i32,
    /// Whether only scenarios and interactions occur that the older table knows.
    pub(crate) older: bool,
}

const DAY: i64 = 86_400;

/// The last day of generated rows unless a scenario sets another.
pub(crate) fn usual_end() -> i32 {
    // A Saturday in the past, so that what is documented about these rows stays true.
    Instant::parse("2025-11-01").map_or(0, Instant::days)
}

impl GenerationPlan {
    /// The plan of a table of a scenario.
    pub(crate) fn new(scenario: &Scenario, data: &TableData) -> Self {
        let older = data.name == INTERACTIONS;
        let last_day = match data.end {
            Some(end) => end.0.days(),
            // The older table ends where the newer one begins.
            None if older => Self::new(scenario, &scenario.data(EVENTS)).first_day - 1,
            None => usual_end(),
        };
        Self {
            seed: mix(scenario.seed, hash(data.name.as_bytes())),
            rows: data.rows,
            first_day: last_day - data.days() + 1,
            last_day,
            older,
        }
    }

    /// How many rows each day has: fewer at weekends, slowly growing, exactly `rows` in total.
    pub(crate) fn rows_per_day(&self) -> Vec<usize> {
        let mut weights = Vec::new();
        for day in self.first_day..=self.last_day {
            let of_week = match day - Week::of_day(day).start_days() {
                0 => 18,
                6 => 25,
                1 => 110,
                5 => 85,
                _ => 100,
            };
            let growth = 100 + (day - self.first_day) as u64 / 2;
            weights.push(of_week * growth);
        }
        let total: u64 = weights.iter().sum::<u64>().max(1);
        let share = |weight: u64| (u128::from(weight) * self.rows as u128 / u128::from(total)) as usize;
        let mut sum = 0;
        let rows = weights.into_iter().map(|weight| {
            let before = share(sum);
            sum += weight;
            share(sum) - before
        });
        rows.collect()
    }

    /// A day of the plan, counted from its first.
    pub(crate) fn day<'a>(&self, number: usize, rows: &[usize], people: &'a People) -> Day<'a> {
        let start = i64::from(self.first_day + number as i32) * DAY;
        Day {
            seed: self.seed,
            start,
            end: start + DAY,
            rows: rows[number],
            follows: number > 0 && rows[number - 1] > 4,
            older: self.older,
            people,
        }
    }

    /// The facts of all rows in order of creation, day by day. Versions are not set yet.
    pub(crate) fn days<'a>(&'a self, people: &'a People) -> impl Iterator<Item = Vec<RowFacts>> + 'a {
        let rows = self.rows_per_day();
        (0..rows.len()).map(move |number| self.day(number, &rows, people).facts())
    }
}
