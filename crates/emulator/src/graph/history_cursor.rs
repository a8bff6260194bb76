//! A cursor over the interactions of a user in a folder, newest first, without those that cannot be read yet.

use copilot_lake_tables::Instant;

use crate::graph::history_filter::HistoryFilter;
use crate::graph::interaction::{ExplicitInteraction, GeneratedInteraction, InteractionBlock, InteractionSequence};
use crate::graph::tenant::Tenant;
use crate::scenario::graph::Late;

/// An entry of a history.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HistoryEntry<'a> {
    Generated(GeneratedInteraction),
    Explicit(&'a ExplicitInteraction),
}

/// Decides which interactions can be read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visibility {
    pub(crate) now: Instant,
    pub(crate) late: Late,
}

impl Visibility {
    /// When a generated interaction becomes readable, in microseconds.
    fn arrives(&self, made: &GeneratedInteraction) -> i64 {
        let mut random = made.random(0x6C61_7465);
        if random.below(10_000) >= (self.late.share * 10_000.0).round() as u64 {
            return made.created();
        }
        let longest = (self.late.hours * 3_600.0) as i64;
        made.created() + (longest - random.below(longest as u64 / 2 + 1) as i64) * 1_000_000
    }
}

/// Reads the interactions of a user in a folder, newest first.
pub(crate) struct HistoryCursor<'a> {
    sequences: Vec<SequenceCursor>,
    explicit: &'a [ExplicitInteraction],
    folder: usize,
    filter: &'a HistoryFilter,
    visibility: Visibility,
}

/// A position in a sequence: the rest of a block, and the blocks before it.
struct SequenceCursor {
    sequence: InteractionSequence,
    /// Remaining blocks, without the current one.
    blocks: u32,
    block: Option<(InteractionBlock, usize)>,
}

impl SequenceCursor {
    /// The end of a sequence, without the blocks that begin at or after a time.
    fn new(sequence: InteractionSequence, before: i64) -> Self {
        let before = before.div_euclid(1_000);
        let (mut low, mut high) = (0, sequence.blocks());
        while low < high {
            let middle = low + (high - low) / 2;
            if sequence.begins(middle) <= before { low = middle + 1 } else { high = middle }
        }
        let mut cursor = Self { sequence, blocks: low, block: None };
        cursor.load();
        cursor
    }

    fn load(&mut self) {
        self.block = self.blocks.checked_sub(1).map(|number| {
            self.blocks = number;
            let block = self.sequence.block(number);
            (block, block.rows())
        });
    }

    fn newest(&self) -> Option<&GeneratedInteraction> {
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

impl<'a> HistoryCursor<'a> {
    pub(crate) fn new(
        tenant: &'a Tenant,
        user: u32,
        folder: usize,
        filter: &'a HistoryFilter,
        visibility: Visibility,
    ) -> Self {
        let before = filter.before.min(visibility.now.0.saturating_add(1));
        let sequences = tenant.sequences(user, folder).map(|sequence| SequenceCursor::new(sequence, before)).collect();
        let explicit = tenant.explicit.get(&user).map_or(&[][..], Vec::as_slice);
        Self { sequences, explicit, folder, filter, visibility }
    }

    /// The newest remaining interaction, whether it matches or not.
    fn step(&mut self) -> Option<HistoryEntry<'a>> {
        let created = |cursor: &SequenceCursor| cursor.newest().map(GeneratedInteraction::created);
        let newest = self.sequences.iter().enumerate().filter_map(|(at, cursor)| Some((created(cursor)?, at))).max();
        match (newest, self.explicit.split_last()) {
            (newest, Some((last, rest))) if newest.is_none_or(|(created, _)| last.created >= created) => {
                self.explicit = rest;
                Some(HistoryEntry::Explicit(last))
            }
            (Some((created, at)), _) => {
                let cursor = &mut self.sequences[at];
                let made = *cursor.newest()?;
                cursor.pass();
                if created <= self.filter.after {
                    // The rest of the sequence is older.
                    self.sequences.swap_remove(at);
                }
                Some(HistoryEntry::Generated(made))
            }
            (None, _) => None,
        }
    }

    fn wanted(&self, found: &HistoryEntry<'_>) -> bool {
        let now = self.visibility.now.0;
        match found {
            HistoryEntry::Generated(made) => {
                self.filter.matches(made.created(), &made.app.class) && self.visibility.arrives(made) <= now
            }
            HistoryEntry::Explicit(explicit) => {
                explicit.folder == self.folder
                    && self.filter.matches(explicit.created, &explicit.class)
                    && explicit.arrives <= now
            }
        }
    }
}

impl<'a> Iterator for HistoryCursor<'a> {
    type Item = HistoryEntry<'a>;

    fn next(&mut self) -> Option<HistoryEntry<'a>> {
        loop {
            let found = self.step()?;
            if self.wanted(&found) {
                return Some(found);
            }
        }
    }
}
