//! Makes the rows of a table from its definition and a seed, day by day, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use copilot_lake_tables::{Instant, Week};

use crate::people::People;
use crate::render::Renderer;
use crate::row::Facts;
use crate::rows::{Row, Segment, SegmentBuilder};
use crate::session::Day;

/// What to make.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) people: usize,
    pub(crate) rows: usize,
    /// The first and the last day, in days since the Unix epoch.
    pub(crate) first_day: i32,
    pub(crate) last_day: i32,
}

/// Versions count milliseconds from here, so that they grow with the time of modification.
const VERSION_EPOCH: i64 = 1_577_836_800;

/// Rows of several days share a segment until it has that many.
const SEGMENT_ROWS: usize = 16_384;

const DAY: i64 = 86_400;

/// A version for a row modified at that second; the ordinal tells rows of one second apart.
pub(crate) const fn version(modified: i64, ordinal: i64) -> i64 {
    (modified - VERSION_EPOCH) * 1_000 + ordinal % 1_000
}

/// Makes all rows in order of creation. Equal plans give equal rows, whatever the number of threads.
pub(crate) fn generate(plan: &Plan, renderer: &Renderer) -> Vec<Arc<Segment>> {
    let days = plan.rows_per_day();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut filled = SEGMENT_ROWS;
    for (day, rows) in days.iter().enumerate() {
        if filled >= SEGMENT_ROWS {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += rows;
        if let Some(group) = groups.last_mut() {
            group.push(day);
        }
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Arc<Segment>)>> = Mutex::new(Vec::with_capacity(groups.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut renderer = renderer.fork(People::new(plan.seed, plan.people));
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let segment = Arc::new(plan.segment(group, &days, &mut renderer));
                    let number = group.first().copied().unwrap_or(0);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, segment));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, segment)| segment).collect()
}

impl Plan {
    /// How many rows each day has: fewer at weekends, slowly growing, exactly `rows` in total.
    fn rows_per_day(&self) -> Vec<usize> {
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

    fn segment(&self, days: &[usize], rows: &[usize], renderer: &mut Renderer) -> Segment {
        let mut builder = SegmentBuilder::with_capacity(days.iter().map(|day| rows[*day]).sum());
        let people = People::new(self.seed, self.people);
        for number in days {
            let start = i64::from(self.first_day + *number as i32) * DAY;
            let day = Day {
                seed: self.seed,
                start,
                end: start + DAY,
                rows: rows[*number],
                follows: *number > 0 && rows[*number - 1] > 4,
                people: &people,
            };
            for (ordinal, mut facts) in day.facts().into_iter().enumerate() {
                facts.version = version(facts.modified, ordinal as i64);
                let files = renderer.render(&mut builder.bytes, &facts);
                builder.end_row(&row(&facts, renderer, files));
            }
        }
        builder.finish()
    }
}

/// What is known about a rendered row; its bytes are elsewhere.
fn row(facts: &Facts, renderer: &mut Renderer, files: u8) -> Row {
    Row {
        bytes: Vec::new(),
        created: Instant::from_seconds(facts.created).0,
        modified: Instant::from_seconds(facts.modified).0,
        key: renderer.key(facts),
        week: facts.week(),
        files,
    }
}
