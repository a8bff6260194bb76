//! Generates the rows of a table from its plan, day by day, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use copilot_lake_tables::Instant;

use crate::data::generation_plan::GenerationPlan;
use crate::data::representatives::People;
use crate::data::row_facts::RowFacts;
use crate::data::row_renderer::RowRenderer;
use crate::data::row_snapshot::{RowIndex, Segment, SegmentBuilder};
use crate::data::row_versions::version;

/// Days are added to a segment until it has this many rows.
const SEGMENT_ROWS: usize = 16_384;

/// Generates all rows in order of creation. Equal plans give equal rows, whatever the number of threads.
pub(crate) fn generate(plan: &GenerationPlan, people: &People, renderer: &RowRenderer) -> Vec<Arc<Segment>> {
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
    in_parallel(&groups, |group| {
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

/// Renders rows whose facts are known, given in order of creation.
pub(crate) fn render(facts: &[RowFacts], renderer: &RowRenderer) -> Vec<Arc<Segment>> {
    let groups: Vec<_> = facts.chunks(SEGMENT_ROWS).collect();
    in_parallel(&groups, |group| segment([group.iter().cloned()], group.len(), renderer))
}

/// Makes one segment per group, in order.
fn in_parallel<G: Sync>(groups: &[G], segment: impl Fn(&G) -> Segment + Sync) -> Vec<Arc<Segment>> {
    let next = AtomicUsize::new(0);
    let segments: Vec<OnceLock<Arc<Segment>>> = groups.iter().map(|_| OnceLock::new()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(group) = groups.get(number) else { break };
                    segments[number].get_or_init(|| Arc::new(segment(group)));
                }
            });
        }
    });
    segments.into_iter().filter_map(OnceLock::into_inner).collect()
}

fn segment<I: Iterator<Item = RowFacts>>(
    days: impl IntoIterator<Item = I>,
    rows: usize,
    renderer: &RowRenderer,
) -> Segment {
    let mut builder = SegmentBuilder::with_capacity(rows);
    for facts in days.into_iter().flatten() {
        let files = renderer.render(&mut builder.bytes, &facts);
        builder.end_row(index(&facts, renderer, files));
    }
    builder.finish()
}

/// The index entry of a rendered row.
fn index(facts: &RowFacts, renderer: &RowRenderer, files: u8) -> RowIndex {
    RowIndex {
        created: Instant::from_seconds(facts.created).0,
        modified: Instant::from_seconds(facts.modified).0,
        key: renderer.key(facts),
        week: facts.week(),
        files,
        lacks: 0,
    }
}
