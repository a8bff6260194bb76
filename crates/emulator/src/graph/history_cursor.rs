//! The interactions of a person in a folder, newest first, as far as they can be read now.

use copilot_lake_tables::Instant;

use crate::graph::generated::{Block, Made, Strand};
use crate::graph::history_filter::HistoryFilter;
use crate::graph::spelled::Spelled;
use crate::graph::tenant::Tenant;
use crate::scenario::graph::Late;

/// An interaction that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Made(Made),
    Spelled(&'a Spelled),
}

/// When the service looks, and how late interactions may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present {
    pub(crate) now: Instant,
    pub(crate) late: Late,
}

impl Present {
    /// When a generated interaction can be read, in microseconds.
    fn arrives(&self, made: &Made) -> i64 {
        let mut random = made.random(0x6C61_7465);
        if random.below(10_000) >= (self.late.share * 10_000.0).round() as u64 {
            return made.created();
        }
        let longest = (self.late.hours * 3_600.0) as i64;
        made.created() + (longest - random.below(longest as u64 / 2 + 1) as i64) * 1_000_000
    }
}

/// A walk over the interactions of a person in a folder, newest first.
pub(crate) struct Walk<'a> {
    strands: Vec<Along>,
    spelled: &'a [Spelled],
    folder: usize,
    filter: &'a HistoryFilter,
    present: Present,
}

/// A place in a strand: what is left of a block, and the blocks before it.
struct Along {
    strand: Strand,
    /// Blocks that are left, the one at hand not counted.
    blocks: u32,
    block: Option<(Block, usize)>,
}

impl Along {
    /// The end of a strand, without the blocks that are wholly at or after a moment.
    fn new(strand: Strand, before: i64) -> Self {
        let before = before.div_euclid(1_000);
        let (mut low, mut high) = (0, strand.blocks());
        while low < high {
            let middle = low + (high - low) / 2;
            if strand.begins(middle) <= before { low = middle + 1 } else { high = middle }
        }
        let mut along = Self { strand, blocks: low, block: None };
        along.load();
        along
    }

    fn load(&mut self) {
        self.block = self.blocks.checked_sub(1).map(|number| {
            self.blocks = number;
            let block = self.strand.block(number);
            (block, block.rows())
        });
    }

    fn newest(&self) -> Option<&Made> {
        let (block, left) = self.block.as_ref()?;
        block.get(left.checked_sub(1)?)
    }

    fn pass(&mut self) {
        if let Some((_, left)) = &mut self.block {
            *left -= 1;
            if *left == 0 {
                self.load();
            }
        }
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        tenant: &'a Tenant,
        user: u32,
        folder: usize,
        filter: &'a HistoryFilter,
        present: Present,
    ) -> Self {
        let before = filter.before.min(present.now.0.saturating_add(1));
        let strands = tenant.strands(user, folder).map(|strand| Along::new(strand, before)).collect();
        let spelled = tenant.spelled.get(&user).map_or(&[][..], Vec::as_slice);
        Self { strands, spelled, folder, filter, present }
    }

    /// The newest interaction that is left, whether it is wanted or not.
    fn step(&mut self) -> Option<Found<'a>> {
        let created = |along: &Along| along.newest().map(Made::created);
        let newest = self.strands.iter().enumerate().filter_map(|(at, along)| Some((created(along)?, at))).max();
        match (newest, self.spelled.split_last()) {
            (newest, Some((last, rest))) if newest.is_none_or(|(created, _)| last.created >= created) => {
                self.spelled = rest;
                Some(Found::Spelled(last))
            }
            (Some((created, at)), _) => {
                let along = &mut self.strands[at];
                let made = *along.newest()?;
                along.pass();
                if created <= self.filter.after {
                    // What is left of it is older.
                    self.strands.swap_remove(at);
                }
                Some(Found::Made(made))
            }
            (None, _) => None,
        }
    }

    fn wanted(&self, found: &Found<'_>) -> bool {
        let now = self.present.now.0;
        match found {
            Found::Made(made) => {
                self.filter.matches(made.created(), made.app.class) && self.present.arrives(made) <= now
            }
            Found::Spelled(spelled) => {
                spelled.folder == self.folder
                    && self.filter.matches(spelled.created, &spelled.class)
                    && spelled.arrives <= now
            }
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let found = self.step()?;
            if self.wanted(&found) {
                return Some(found);
            }
        }
    }
}
