//! What the generated rows of all tables share: people, links between tables, and one version counter.
//!
//! Rows of the newer table are generated day by day while they are rendered. Rows of the other tables are picked from
//! what happened in the newer and the older one, so that links resolve; a table that needs more rows than that gets
//! unrelated ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use copilot_lake_tables::{SYSTEM_USER, Table};

use crate::data::column_value::{has_file, verbatim};
use crate::data::generated_day::is_older;
use crate::data::generation_plan::GenerationPlan;
use crate::data::random::mix;
use crate::data::representatives::People;
use crate::data::row_facts::{CONVERSATION, GENERATED, QUESTION, RowFacts};
use crate::data::row_links::{RowLinks, files_of};
use crate::data::row_versions::Versions;
use crate::emulated_tables::{CONTENTS, EVENTS, INSIGHTS, INTERACTIONS, MESSAGES, TRANSCRIPTS, tables};
use crate::scenario::definition::Scenario;

/// What the generated rows of all tables share.
#[derive(Debug)]
pub(crate) struct DataSet {
    pub(crate) people: Arc<People>,
    pub(crate) links: Arc<RowLinks>,
    /// The rows of every table but the newer one of interactions, in order of creation.
    facts: HashMap<&'static str, Vec<RowFacts>>,
    pub(crate) versions: Arc<Versions>,
}

/// First value of the version counter.
const FIRST_VERSION: i64 = 17_413_914;

/// One in this many older interactions is in both tables of interactions.
const SHARED: usize = 20;

const DAY: i64 = 86_400;

impl DataSet {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let plan = |name: &str| GenerationPlan::new(scenario, &scenario.data(name));
        let rows = |name: &str| scenario.data(name).rows;
        let has_rows = |name: &str| rows(name) > 0 || !scenario.data(name).row.is_empty();
        let people = People::new(plan(EVENTS).seed, scenario.people());
        let interactions = interactions(&people, &plan(EVENTS), plan(INTERACTIONS), rows(INTERACTIONS));
        let wanted = rows(TRANSCRIPTS).max(rows(MESSAGES));
        let responses = match wanted + rows(INSIGHTS) {
            0 => Vec::new(),
            _ => responses(&people, &plan(EVENTS), &interactions),
        };
        let questions = responses.iter().filter(|facts| facts.scenario == QUESTION);
        let chats =
            choose(questions.cloned().collect(), wanted, |facts| mix(facts.session, 31), &plan(TRANSCRIPTS), &people);
        let transcripts: Vec<_> = chats.iter().take(rows(TRANSCRIPTS)).map(begun_earlier).collect();
        let messages: Vec<_> = chats.iter().take(rows(MESSAGES)).cloned().collect();

        let written = |facts: &RowFacts| verbatim(facts, &people).is_some();
        let with_content = |facts: &&RowFacts| has_file(facts, "msdyn_interactiondata") || written(facts);
        let content = interactions.iter().filter(with_content).cloned().collect();
        // Feedback text is rare, so rows with it are picked first.
        let rank = |facts: &RowFacts| mix(facts.seed, 32) >> 1 | u64::from(!written(facts)) << 63;
        let contents = choose(content, rows(CONTENTS), rank, &plan(CONTENTS), &people);

        let talked = responses.iter().filter(|facts| facts.for_table() == CONVERSATION).cloned().collect();
        let insights = choose(talked, rows(INSIGHTS), |facts| mix(facts.session, 33), &plan(INSIGHTS), &people);
        let insights: Vec<_> = insights.iter().map(made_later).collect();

        let both = match (rows(TRANSCRIPTS), rows(MESSAGES)) {
            (0, _) | (_, 0) => wanted,
            (transcripts, messages) => transcripts.min(messages),
        };
        let links = RowLinks {
            chats_exist: has_rows(TRANSCRIPTS) || has_rows(MESSAGES),
            chats: chats.iter().take(both).map(|facts| facts.session).collect(),
            transcripts: transcripts.iter().map(|facts| facts.session).collect(),
            contents: contents.iter().map(|facts| facts.seed).collect(),
            files: files_of(&messages),
        };

        let users = users(&people);
        let mut facts = HashMap::from([
            (INTERACTIONS, interactions),
            (CONTENTS, contents),
            (TRANSCRIPTS, transcripts),
            (MESSAGES, messages),
            (INSIGHTS, insights),
            (SYSTEM_USER.name, users),
        ]);
        for rows in facts.values_mut() {
            rows.sort_by_key(|facts| facts.created);
        }
        let next = count_versions(&mut facts);
        Self { people: Arc::new(people), links: Arc::new(links), facts, versions: Arc::new(Versions::new(next)) }
    }

    /// The generated rows of a table in order of creation; none for the newer table of interactions, which follows its
    /// plan.
    pub(crate) fn facts(&self, table: &Table) -> &[RowFacts] {
        self.facts.get(table.name).map_or(&[], Vec::as_slice)
    }
}

/// Rows of the older table: from before the newer one began, and the newer one's first rows once more.
fn interactions(people: &People, events: &GenerationPlan, mut plan: GenerationPlan, rows: usize) -> Vec<RowFacts> {
    let mut shared = Vec::new();
    for day in events.days(people) {
        let left = (rows / SHARED).saturating_sub(shared.len());
        if left == 0 {
            break;
        }
        let known = |facts: &RowFacts| is_older(facts.kind) && facts.scenario <= 100_230_220;
        shared.extend(day.into_iter().filter(known).take(left));
    }
    plan.rows = rows - shared.len();
    let mut older: Vec<_> = plan.days(people).flatten().collect();
    older.append(&mut shared);
    older
}

/// The responses that Copilot generated, in both tables: one row per session.
fn responses(people: &People, events: &GenerationPlan, interactions: &[RowFacts]) -> Vec<RowFacts> {
    let generated = |facts: &RowFacts| facts.kind == GENERATED;
    let mut responses: Vec<_> = events.days(people).flatten().filter(generated).collect();
    let newer: HashSet<_> = responses.iter().map(|facts| facts.session).collect();
    let older = interactions.iter().filter(|facts| generated(facts) && !newer.contains(&facts.session));
    responses.extend(older.cloned());
    responses
}

/// The first `count` rows by rank, topped up with unrelated rows from the plan when there are too few.
fn choose(
    mut from: Vec<RowFacts>,
    count: usize,
    rank: impl Fn(&RowFacts) -> u64,
    plan: &GenerationPlan,
    people: &People,
) -> Vec<RowFacts> {
    from.sort_by_cached_key(|facts| rank(facts));
    from.truncate(count);
    let others = GenerationPlan { rows: count - from.len(), ..plan.clone() };
    from.extend(others.days(people).flatten().map(|facts| RowFacts {
        session: mix(facts.seed, 34),
        request: mix(facts.seed, 35) | 1,
        scenario: QUESTION,
        kind: GENERATED,
        ..facts
    }));
    from
}

/// A chat starts before its first response, on the same day.
fn begun_earlier(facts: &RowFacts) -> RowFacts {
    let created = (facts.created - 30).max(facts.created - facts.created.rem_euclid(DAY));
    RowFacts { created, ..facts.clone() }
}

/// An insight is made after a conversation, on the same day.
fn made_later(facts: &RowFacts) -> RowFacts {
    let end = facts.created - facts.created.rem_euclid(DAY) + DAY - 1;
    let created = (facts.created + 60 + (facts.seed % 1_800) as i64).min(end);
    RowFacts { created, modified: facts.modified.max(created), ..facts.clone() }
}

/// One row per person, created before anything that they do.
fn users(people: &People) -> Vec<RowFacts> {
    let user = |number: usize| {
        let facts = RowFacts::answer(mix(number as u64, 36), 1_700_000_000 + number as i64 * 1_000);
        let (modified, session) = (facts.created + 500, mix(number as u64, 37));
        RowFacts { modified, request: 0, session, person: number as u16, ..facts }
    };
    (0..people.len()).map(user).collect()
}

/// Numbers all rows in order of modification; returns the next free version.
fn count_versions(facts: &mut HashMap<&'static str, Vec<RowFacts>>) -> i64 {
    let tables = tables().map(|table| table.name);
    let mut order = Vec::new();
    for name in tables {
        let rows = facts.get(name).into_iter().flatten().enumerate();
        order.extend(rows.map(|(at, facts)| (facts.modified, name, at)));
    }
    order.sort_unstable();
    let mut next = FIRST_VERSION;
    for (_, name, at) in order {
        if let Some(facts) = facts.get_mut(name).and_then(|rows| rows.get_mut(at)) {
            facts.version = next;
        }
        next += 1;
    }
    next
}
