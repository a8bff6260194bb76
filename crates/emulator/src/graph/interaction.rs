//! Interactions. Generated ones are sequences in a folder, made in blocks that depend on a seed and their position
//! alone.
//!
//! Nothing is stored per generated interaction: its time follows from its number, and grows with it.

use crate::data::random::{Random, mix};
use crate::graph::copilot_app::CopilotApp;
use crate::graph::working_hours::moment;

/// Interactions per block.
pub(crate) const BLOCK: usize = 8;

/// An interaction before it is rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GeneratedInteraction {
    pub(crate) seed: u64,
    /// Milliseconds since the Unix epoch: its id.
    pub(crate) ms: i64,
    /// The rest of its time, in units of 100 ns.
    pub(crate) ticks: u16,
    pub(crate) response: bool,
    /// 0 for none.
    pub(crate) session: u64,
    pub(crate) request: u64,
    pub(crate) app: &'static CopilotApp,
    /// The user who wrote the prompt, or whose prompt it answers.
    pub(crate) asker: u32,
}

impl GeneratedInteraction {
    /// Microseconds since the Unix epoch.
    pub(crate) const fn created(&self) -> i64 {
        self.ms * 1_000 + self.ticks as i64 / 10
    }

    /// The generator for one aspect of it.
    pub(crate) const fn random(&self, aspect: u64) -> Random {
        Random::new(mix(self.seed, aspect))
    }
}

/// An explicit interaction as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct ExplicitInteraction {
    /// Microseconds since the Unix epoch.
    pub(crate) created: i64,
    /// When it can be read.
    pub(crate) arrives: i64,
    pub(crate) class: String,
    pub(crate) folder: usize,
    pub(crate) json: Box<[u8]>,
}

/// The owner of a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SequenceOwner {
    /// One user, in a folder.
    Own { asker: u32, folder: usize },
    /// A meeting, which is in the history of each participant: `people` users from `first` on.
    Meeting { first: u32, people: u32 },
}

/// A sequence of interactions in order of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InteractionSequence {
    pub(crate) seed: u64,
    pub(crate) rows: u32,
    /// Start and end, in units of work.
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) owner: SequenceOwner,
}

/// Gaps are in seconds where a block is at least this many seconds long.
const ROOM: i64 = 5_000;

impl InteractionSequence {
    pub(crate) const fn blocks(&self) -> u32 {
        self.rows.div_ceil(BLOCK as u32)
    }

    const fn slot(&self, block: u32) -> i64 {
        self.from + (self.until - self.from) / self.blocks() as i64 * block as i64
    }

    /// The earliest time of a block's interactions, in milliseconds.
    pub(crate) fn begins(&self, block: u32) -> i64 {
        moment(self.slot(block))
    }

    /// The interactions of a block in order of time.
    pub(crate) fn block(&self, number: u32) -> InteractionBlock {
        let rows = (self.rows - number * BLOCK as u32).min(BLOCK as u32) as usize;
        let seed = mix(self.seed, u64::from(number) + 1);
        let mut random = Random::new(seed);
        let (slot, next) = (self.slot(number), self.slot(number + 1));
        let begins = moment(slot);
        let start = moment(slot + (next - slot) / 1_000 * random.below(600) as i64);
        let room = moment(next) - start;
        let wide = room >= ROOM * 1_000;
        // Times have as many digits as they need, so some are rounded.
        let round = if wide { random.weighted(&[(1_000, 15), (100, 15), (10, 10), (1, 40), (0, 20)]) } else { 1 };
        let scheduled = wide && random.chance(125);
        let alone = random.chance(8);
        let mut block = InteractionBlock { made: [None; BLOCK], rows };
        let mut state = Conversation::new(self.owner, seed);
        let (mut gap, mut last) = (0, (start, 0));
        // What is prompted on a schedule is prompted at the full hour, and answered soon after.
        let mut shift = 0;
        for at in 0..rows {
            let turn = state.next(&mut random, at == 0);
            let seed = mix(seed, 100 + at as u64);
            gap += turn.gap;
            let exact = match wide {
                true => start + gap * 1_000 + random.below(1_000) as i64,
                false => start + gap * room / ROOM,
            };
            let hour = exact - exact.rem_euclid(3_600_000);
            if at == 0 && scheduled && hour > begins {
                shift = exact - hour;
            }
            let exact = exact - shift;
            let rounded = match round {
                0 | 1 => exact,
                _ => exact - exact.rem_euclid(round),
            };
            let ticks = if round == 0 { 10 + (mix(seed, 5) % 9_990) as u16 } else { 0 };
            let (ms, ticks) = match () {
                // Another session at the same time has the same id.
                () if turn.twin => last,
                () if at == 0 && shift > 0 => (exact, 0),
                () if rounded > begins => (rounded, ticks),
                () => (exact, ticks),
            };
            last = (ms, ticks);
            let session = if alone && state.may_be_alone() { 0 } else { turn.session };
            let ConversationTurn { response, request, app, asker, .. } = turn;
            block.made[at] = Some(GeneratedInteraction { seed, ms, ticks, response, session, request, app, asker });
        }
        block
    }
}

/// The interactions of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InteractionBlock {
    made: [Option<GeneratedInteraction>; BLOCK],
    rows: usize,
}

impl InteractionBlock {
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn get(&self, at: usize) -> Option<&GeneratedInteraction> {
        self.made.get(at)?.as_ref()
    }
}

/// The next turn of a conversation.
struct ConversationTurn {
    /// Seconds since the previous turn.
    gap: i64,
    /// Whether it has the time of the previous turn, in another session.
    twin: bool,
    response: bool,
    session: u64,
    request: u64,
    app: &'static CopilotApp,
    asker: u32,
}

/// Alternating prompts and responses in sessions; some turns have several responses, none, or no prompt.
struct Conversation {
    owner: SequenceOwner,
    seed: u64,
    sessions: u64,
    requests: u64,
    app: &'static CopilotApp,
    asker: u32,
    /// Responses still due to the last prompt.
    responses: u64,
    twins: bool,
}

impl Conversation {
    fn new(owner: SequenceOwner, seed: u64) -> Self {
        let app = CopilotApp::of_meetings();
        Self { owner, seed, sessions: 0, requests: 0, app, asker: 0, responses: 0, twins: false }
    }

    /// Whether sessions may lack an id: a user's own in the first folder, unless two are at one time.
    const fn may_be_alone(&self) -> bool {
        matches!(self.owner, SequenceOwner::Own { folder: 0, .. }) && !self.twins
    }

    fn next(&mut self, random: &mut Random, first: bool) -> ConversationTurn {
        let mut gap = 4 + random.below(12) as i64;
        let mut twin = false;
        let response = if self.responses > 0 {
            self.responses -= 1;
            true
        } else {
            self.requests += 1;
            let meets = matches!(self.owner, SequenceOwner::Meeting { .. });
            if first || (!meets && random.chance(250)) {
                twin = !first && random.chance(100);
                self.twins |= twin;
                gap = if twin { 0 } else { 200 + random.below(300) as i64 };
                self.session(random);
            } else {
                gap += 20 + random.below(90) as i64;
            }
            if let SequenceOwner::Meeting { first, people } = self.owner {
                self.asker = first + random.below(u64::from(people)) as u32;
            }
            // An orphan response has no prompt before it.
            let orphan = random.chance(30);
            self.responses = if orphan { 0 } else { random.weighted(&[(1, 85), (2, 10), (0, 3), (3, 2)]) };
            orphan
        };
        if first {
            gap = 0;
        }
        let session = mix(self.seed, 1_000 + self.sessions) | 1;
        let request = mix(self.seed, 2_000 + self.requests);
        ConversationTurn { gap, twin, response, session, request, app: self.app, asker: self.asker }
    }

    fn session(&mut self, random: &mut Random) {
        self.sessions += 1;
        if let SequenceOwner::Own { asker, folder } = self.owner {
            self.asker = asker;
            self.app = CopilotApp::choose(random, folder);
        }
    }
}
