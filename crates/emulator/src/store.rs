//! The tables of an emulator: their rows now, and what happens to them in later phases.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use copilot_lake_tables::{Instant, Source, Table};

use crate::Error;
use crate::clock::Clock;
use crate::explicit::Writer;
use crate::generate::{Plan, generate, version};
use crate::payload::Payload;
use crate::people::People;
use crate::query::View;
use crate::render::Renderer;
use crate::rows::{Row, Rows, key_number};
use crate::scenario::{MoreRows, Phase, RowSpec, Scenario, TableData, tables};
use crate::session::Day;

/// A table: its rows, and the Files that a scenario spells out.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) table: &'static Table,
    pub(crate) entity_set: &'static str,
    pub(crate) elastic: bool,
    pub(crate) absent: bool,
    without: Vec<String>,
    plan: Plan,
    base: PathBuf,
    rows: RwLock<Arc<Rows>>,
    payloads: RwLock<HashMap<String, Payload>>,
    renderer: Mutex<Renderer>,
    /// Explicit rows until now: each has its own seed.
    written: AtomicU64,
}

/// A `Mutex` or `RwLock` that a panicking request leaves behind holds whole values all the same.
fn whole<T>(lock: Result<T, PoisonError<T>>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Every table of a scenario with its rows.
    pub(crate) fn all(scenario: &Scenario, clock: &Clock) -> Result<Vec<Self>, Error> {
        tables().map(|table| Self::new(table, scenario, clock)).collect()
    }

    fn new(table: &'static Table, scenario: &Scenario, clock: &Clock) -> Result<Self, Error> {
        let Source::Dataverse { entity_set, elastic } = table.source else {
            return Err(Error::scenario(format!("`{}` is no table of Dataverse", table.name)));
        };
        let data = TableData { name: table.name.to_owned(), ..scenario.data(table) };
        let plan = scenario.plan(&data);
        let renderer = Renderer::new(table, People::new(plan.seed, plan.people), &data.without);
        let rows = Rows::new(generate(&plan, &renderer));
        let store = Self {
            table,
            entity_set,
            elastic,
            absent: data.absent,
            without: data.without,
            base: scenario.base.clone(),
            rows: RwLock::new(Arc::new(rows)),
            payloads: RwLock::default(),
            renderer: Mutex::new(renderer),
            written: AtomicU64::new(0),
            plan,
        };
        let end = Instant::from_days(store.plan.last_day + 1).plus_seconds(-1);
        let rows = data.row.iter().map(|spec| store.write(spec, end)).collect::<Result<Vec<_>, _>>()?;
        store.edit(Vec::new(), rows, clock);
        Ok(store)
    }

    /// The rows as they are now.
    pub(crate) fn rows(&self) -> Arc<Rows> {
        Arc::clone(&*whole(self.rows.read()))
    }

    /// The table with the columns that the environment has.
    pub(crate) fn view(&self) -> View<'_> {
        View { table: self.table, elastic: self.elastic, without: &self.without }
    }

    /// What a File answers that a scenario spelled out; `None` for a generated one.
    pub(crate) fn payload(&self, file_id: &str) -> Option<Payload> {
        whole(self.payloads.read()).get(&file_id.to_lowercase()).cloned()
    }

    fn with_writer<T>(&self, work: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let mut renderer = whole(self.renderer.lock());
        work(&mut Writer { renderer: &mut renderer, base: &self.base, seed: self.plan.seed })
    }

    fn keep(&self, (row, payload): (Row, Option<(String, Payload)>)) -> Row {
        if let Some((id, payload)) = payload {
            whole(self.payloads.write()).insert(id, payload);
        }
        row
    }

    fn write(&self, spec: &RowSpec, time: Instant) -> Result<Row, Error> {
        let ordinal = self.written.fetch_add(1, Ordering::Relaxed);
        self.with_writer(|writer| writer.row(spec, ordinal, time)).map(|written| self.keep(written))
    }

    fn edit(&self, remove: Vec<usize>, insert: Vec<Row>, clock: &Clock) {
        let mut rows = whole(self.rows.write());
        if !remove.is_empty() || !insert.is_empty() {
            *rows = Arc::new(rows.edit(remove, insert));
        }
        if let Some(last) = rows.by_modified().last() {
            let latest = rows.modified(*last as usize).max(rows.created(rows.len() - 1));
            clock.pass(Instant(latest));
        }
    }

    /// Applies what a phase says about this table; `first` is the table of rows that name none.
    pub(crate) fn apply(&self, phase: &Phase, first: bool, clock: &Clock) -> Result<(), Error> {
        let mine = |table: &Option<String>| table.as_deref().map_or(first, |name| name == self.table.name);
        // A moment before now: a window that ends now has the row.
        let time = clock.now().floor_second().plus_seconds(-2);
        let rows = self.rows();
        let mut remove = Vec::new();
        let mut insert = Vec::new();
        for spec in phase.delete.iter().filter(|spec| mine(&spec.table)) {
            remove.extend(self.select(&rows, spec)?);
        }
        for spec in phase.change.iter().filter(|spec| mine(&spec.table)) {
            for at in self.select(&rows, spec)? {
                let changed = self.with_writer(|writer| writer.change(&rows.row(at), spec, time))?;
                insert.push(self.keep(changed));
                remove.push(at);
            }
        }
        for spec in phase.row.iter().filter(|spec| mine(&spec.table)) {
            insert.push(self.write(spec, time)?);
        }
        if let Some(more) = phase.generate.as_ref().filter(|more| mine(&more.table)) {
            self.generate(more, time, &mut insert);
        }
        remove.sort_unstable();
        remove.dedup();
        self.edit(remove, insert, clock);
        Ok(())
    }

    /// The rows that a change or a deletion is about.
    fn select(&self, rows: &Rows, spec: &RowSpec) -> Result<Vec<usize>, Error> {
        let none = |what: String| Error::scenario(format!("table `{}` has no row at {what}", self.table.name));
        match (spec.position, spec.every, &spec.key) {
            (Some(position), None, None) => {
                let at = if position < 0 { rows.len() as i64 + position } else { position };
                let at = usize::try_from(at).ok().filter(|at| *at < rows.len());
                Ok(vec![at.ok_or_else(|| none(format!("position {position}")))?])
            }
            (None, Some(every), None) if every > 0 => Ok((0..rows.len()).step_by(every).collect()),
            (None, None, Some(key)) => {
                let found: Vec<_> = rows.with_key(key_number(key.iter().map(String::as_str))).collect();
                if found.is_empty() { Err(none(format!("key {}", key.join("/")))) } else { Ok(found) }
            }
            _ => Err(Error::scenario("a change or deletion needs one of `position`, `every` (from 1) and `key`")),
        }
    }

    /// Generated rows in an interval.
    fn generate(&self, more: &MoreRows, time: Instant, insert: &mut Vec<Row>) {
        const DAY: i64 = 86_400;
        let seconds = |at: Instant| at.0.div_euclid(1_000_000);
        let until = more.until.map_or(time.plus_seconds(1), |until| until.0);
        let from = more.from.map_or(until.plus_seconds(-60), |from| from.0);
        let (from, until) = (seconds(from), seconds(until).max(seconds(from) + 1));
        let mut renderer = whole(self.renderer.lock());
        let people = People::new(self.plan.seed, self.plan.people);
        // A day of its own, squeezed into the interval.
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let seed = crate::random::mix(self.plan.seed, 0x6D6F_7265 + number);
        let day = Day { seed, start: 0, end: DAY, rows: more.rows, follows: false, people: &people };
        let mut bytes = Vec::new();
        for (ordinal, mut facts) in day.facts().into_iter().enumerate() {
            let place = |second: i64| from + second.clamp(0, DAY - 1) * (until - from) / DAY;
            facts.created = place(facts.created);
            facts.client = facts.created;
            facts.modified = place(facts.modified).max(facts.created);
            facts.version = version(facts.modified, ordinal as i64);
            bytes.clear();
            renderer.render(&mut bytes, &facts);
            let created = Instant::from_seconds(facts.created);
            // What was just rendered is an object.
            insert.extend(Row::read(self.table, bytes.clone(), created));
        }
    }
}
