//! Makes the rows of a table from its definition and a seed, day by day, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use copilot_lake_tables::{Instant, Week};

use crate::data::people::People;
use crate::data::row_facts::Facts;
use crate::data::row_renderer::Renderer;
use crate::data::session::Day;
use crate::data::table_rows::{Row, Segment, SegmentBuilder};

/// What to make.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) rows: usize,
    /// The first and the last day, in days since the Unix epoch.
    pub(crate) first_day: i32,
    pub(crate) last_day: i32,
    /// Whether only what the older store's choices know happens.
    pub(crate) older: bool,
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
pub(crate) fn generate(plan: &Plan, people: &People, renderer: &Renderer) -> Vec<Arc<Segment>> {
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
    in_parallel(&groups, renderer, |group, renderer| {
        let facts = group.iter().map(|day| {
            let mut facts = plan.day(*day, &days, people).facts();
            for (ordinal, facts) in facts.iter_mut().enumerate() {
                facts.version = version(facts.modified, ordinal as i64);
            }
            facts
        });
        segment(facts.map(Vec::into_iter), group.iter().map(|day| days[*day]).sum(), renderer)
    })
}

/// Renders rows whose facts are known, in the order given: that of creation.
pub(crate) fn render(facts: &[Facts], renderer: &Renderer) -> Vec<Arc<Segment>> {
    let groups: Vec<_> = facts.chunks(SEGMENT_ROWS).collect();
    in_parallel(&groups, renderer, |group, renderer| segment([group.iter().cloned()], group.len(), renderer))
}

/// A segment per group, in their order.
fn in_parallel<G: Sync>(
    groups: &[G],
    renderer: &Renderer,
    segment: impl Fn(&G, &mut Renderer) -> Segment + Sync,
) -> Vec<Arc<Segment>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Arc<Segment>)>> = Mutex::new(Vec::with_capacity(groups.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut renderer = renderer.clone();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(group) = groups.get(number) else { break };
                    let made = Arc::new(segment(group, &mut renderer));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, segment)| segment).collect()
}

fn segment<I: Iterator<Item = Facts>>(
    days: impl IntoIterator<Item = I>,
    rows: usize,
    renderer: &mut Renderer,
) -> Segment {
    let mut builder = SegmentBuilder::with_capacity(rows);
    for facts in days.into_iter().flatten() {
        let files = renderer.render(&mut builder.bytes, &facts);
        builder.end_row(&row(&facts, renderer, files));
    }
    builder.finish()
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

    /// A day of the plan, counted from its first.
    fn day<'a>(&self, number: usize, rows: &[usize], people: &'a People) -> Day<'a> {
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
    pub(crate) fn days<'a>(&'a self, people: &'a People) -> impl Iterator<Item = Vec<Facts>> + 'a {
        let rows = self.rows_per_day();
        (0..rows.len()).map(move |number| self.day(number, &rows, people).facts())
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
        lacks: 0,
    }
}
