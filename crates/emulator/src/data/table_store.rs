//! One emulated table: its current rows, and how phases change them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use copilot_lake_tables::{Column, Instant, SYSTEM_USER, Source, Table};

use crate::data::change_log::{ChangeLog, RowChange};
use crate::data::columns::{EnvironmentColumns, TableView};
use crate::data::dataset::DataSet;
use crate::data::explicit_rows::ExplicitRowWriter;
use crate::data::file_content::{Payload, generated};
use crate::data::generate::{generate, render};
use crate::data::generated_day::Day;
use crate::data::generation_plan::GenerationPlan;
use crate::data::json_fields::JsonFields;
use crate::data::random::{hash, mix};
use crate::data::representatives::People;
use crate::data::row_facts::GENERATED;
use crate::data::row_renderer::RowRenderer;
use crate::data::row_snapshot::{RowSnapshot, StoredRow, key_number};
use crate::data::row_versions::{Versions, version};
use crate::emulated_clock::Clock;
use crate::emulated_tables::{EVENTS, tables};
use crate::error::Error;
use crate::scenario::definition::Scenario;
use crate::scenario::specs::{MoreRows, Phase, ReadDepth, RowSpec};

/// A table with its rows and its explicit Files.
#[derive(Debug)]
pub(crate) struct TableStore {
    pub(crate) table: &'static Table,
    pub(crate) entity_set: &'static str,
    pub(crate) elastic: bool,
    pub(crate) absent: bool,
    /// Whether changes are tracked.
    pub(crate) tracked: bool,
    /// How far the application may read.
    pub(crate) depth: ReadDepth,
    /// Columns that the application may not read.
    secured: Vec<String>,
    changes: Mutex<ChangeLog>,
    pub(crate) people: Arc<People>,
    columns: RwLock<Arc<EnvironmentColumns>>,
    plan: GenerationPlan,
    base: PathBuf,
    rows: RwLock<Arc<RowSnapshot>>,
    payloads: RwLock<HashMap<String, Payload>>,
    renderer: RowRenderer,
    versions: Arc<Versions>,
    /// Explicit rows written so far; each has its own seed.
    written: AtomicU64,
}

/// Ignores poison: values are consistent even after a request has panicked.
fn ignore_poison<T>(lock: Result<T, PoisonError<T>>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}

impl TableStore {
    /// Every table of a scenario with its rows.
    pub(crate) fn all(scenario: &Scenario, clock: &Clock) -> Result<Vec<Self>, Error> {
        let dataset = DataSet::new(scenario);
        tables().map(|table| Self::new(table, scenario, &dataset, clock)).collect()
    }

    fn new(table: &'static Table, scenario: &Scenario, dataset: &DataSet, clock: &Clock) -> Result<Self, Error> {
        let data = scenario.data(table.name);
        let plan = GenerationPlan::new(scenario, &data);
        let columns = EnvironmentColumns::new(table, &data);
        let renderer = RowRenderer::new(table, columns.all(), &dataset.people, &dataset.links)?;
        let segments = match table.name {
            EVENTS => generate(&plan, &dataset.people, &renderer),
            _ => render(dataset.facts(table), &renderer),
        };
        let store = Self {
            table,
            entity_set: table.entity_set().unwrap_or(table.name),
            elastic: matches!(table.source, Source::Dataverse { elastic: true, .. }),
            absent: data.absent,
            tracked: data.tracked.unwrap_or(table.name == EVENTS),
            depth: scenario.depth(table.name),
            secured: data.secured,
            changes: Mutex::default(),
            people: Arc::clone(&dataset.people),
            columns: RwLock::new(Arc::new(columns)),
            base: scenario.base.clone(),
            rows: RwLock::new(Arc::new(RowSnapshot::new(segments))),
            payloads: RwLock::default(),
            renderer,
            versions: Arc::clone(&dataset.versions),
            written: AtomicU64::new(0),
            plan,
        };
        let end = Instant::from_days(store.plan.last_day + 1).plus_seconds(-1);
        let rows = data.row.iter().map(|spec| store.write(spec, end)).collect::<Result<Vec<_>, _>>()?;
        store.edit(Vec::new(), rows, clock);
        Ok(store)
    }

    /// The current rows.
    pub(crate) fn rows(&self) -> Arc<RowSnapshot> {
        Arc::clone(&*ignore_poison(self.rows.read()))
    }

    /// The table with the columns that the environment has.
    pub(crate) fn view(&self) -> TableView {
        TableView {
            table: self.table,
            elastic: self.elastic,
            columns: Arc::clone(&*ignore_poison(self.columns.read())),
        }
    }

    /// The changes so far.
    pub(crate) fn changes(&self) -> MutexGuard<'_, ChangeLog> {
        ignore_poison(self.changes.lock())
    }

    pub(crate) fn is_secured(&self, column: &Column) -> bool {
        self.secured.iter().any(|name| name == column.name || name == column.wire)
    }

    /// The service's numeric code of the table.
    pub(crate) fn type_code(&self) -> u32 {
        if self.table.name == SYSTEM_USER.name { 8 } else { 10_000 + (hash(self.table.name.as_bytes()) % 1_000) as u32 }
    }

    /// The content of a File, explicit or generated. `scenario` is the row's scenario type, where it has one.
    pub(crate) fn payload(&self, column: &str, file_id: &str, scenario: Option<i64>) -> Payload {
        let written = ignore_poison(self.payloads.read()).get(&file_id.to_lowercase()).cloned();
        written.unwrap_or_else(|| {
            let bytes = Some(generated(column, file_id, scenario, self.renderer.links.file(file_id)));
            Payload { bytes, ..Payload::default() }
        })
    }

    fn writer(&self) -> ExplicitRowWriter<'_> {
        let versions = (!self.elastic).then_some(&*self.versions);
        ExplicitRowWriter { renderer: &self.renderer, versions, base: &self.base, seed: self.plan.seed }
    }

    fn keep(&self, (row, payload): (StoredRow, Option<(String, Payload)>)) -> StoredRow {
        if let Some((id, payload)) = payload {
            ignore_poison(self.payloads.write()).insert(id, payload);
        }
        row
    }

    fn write(&self, spec: &RowSpec, time: Instant) -> Result<StoredRow, Error> {
        let ordinal = self.written.fetch_add(1, Ordering::Relaxed);
        self.writer().row(spec, ordinal, time).map(|written| self.keep(written))
    }

    fn edit(&self, remove: Vec<usize>, insert: Vec<StoredRow>, clock: &Clock) {
        let mut rows = ignore_poison(self.rows.write());
        if !remove.is_empty() || !insert.is_empty() {
            *rows = Arc::new(rows.edit(remove, insert));
        }
        if let Some(last) = rows.by_modified().last() {
            let latest = rows.modified(*last as usize).max(rows.created(rows.len() - 1));
            clock.pass(Instant(latest));
        }
    }

    /// Applies a phase to this table; `first`: entries that name no table are about this one.
    pub(crate) fn apply(&self, phase: &Phase, first: bool, clock: &Clock) -> Result<(), Error> {
        let mine = |table: &Option<String>| table.as_deref().map_or(first, |name| name == self.table.name);
        // Slightly in the past, so that a window ending now includes the row.
        let time = clock.now().floor_second().plus_seconds(-2);
        let rows = self.rows();
        let mut remove = Vec::new();
        let mut insert = Vec::new();
        for spec in phase.delete.iter().filter(|spec| mine(&spec.table)) {
            remove.extend(self.select(&rows, spec)?);
        }
        remove.sort_unstable();
        remove.dedup();
        let deleted: Vec<_> = remove.iter().map(|at| RowChange::Delete(self.id(&rows.json(*at)))).collect();
        for spec in phase.change.iter().filter(|spec| mine(&spec.table)) {
            for at in self.select(&rows, spec)? {
                let changed = self.writer().change(&rows.row(at), spec, time)?;
                insert.push(self.keep(changed));
                remove.push(at);
            }
        }
        for spec in phase.row.iter().filter(|spec| mine(&spec.table)) {
            insert.push(self.write(spec, time)?);
        }
        for more in phase.generate.iter().filter(|more| mine(&more.table)) {
            self.generate(more, time, &mut insert);
        }
        remove.sort_unstable();
        remove.dedup();
        insert.sort_by_key(|row| row.index.modified);
        let changes: Vec<_> = insert.iter().map(|row| RowChange::Upsert(row.index.key)).chain(deleted).collect();
        let columns: Vec<_> = phase.column.iter().filter(|column| mine(&column.table)).collect();
        if !columns.is_empty() {
            let mut known = ignore_poison(self.columns.write());
            columns.iter().for_each(|column| Arc::make_mut(&mut known).add(column));
        }
        self.edit(remove, insert, clock);
        self.changes().phase(changes.into_iter(), !columns.is_empty());
        Ok(())
    }

    /// The id of a row.
    fn id(&self, json: &[u8]) -> String {
        let wire = self.table.key.first().copied().unwrap_or_default();
        JsonFields::read(json).ok().and_then(|fields| fields.text(wire).map(|id| id.into_owned())).unwrap_or_default()
    }

    /// The rows that a change or a deletion selects.
    fn select(&self, rows: &RowSnapshot, spec: &RowSpec) -> Result<Vec<usize>, Error> {
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

    /// Generates rows within an interval.
    fn generate(&self, more: &MoreRows, time: Instant, insert: &mut Vec<StoredRow>) {
        const DAY: i64 = 86_400;
        let seconds = |at: Instant| at.0.div_euclid(1_000_000);
        let until = more.until.map_or(time.plus_seconds(1), |until| until.0);
        let from = more.from.map_or(until.plus_seconds(-60), |from| from.0);
        let (from, until) = (seconds(from), seconds(until).max(seconds(from) + 1));
        // A day of rows, scaled into the interval.
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let day = Day {
            seed: mix(self.plan.seed, 0x6D6F_7265 + number),
            start: 0,
            end: DAY,
            rows: more.rows,
            follows: false,
            older: self.plan.older,
            people: &self.people,
        };
        let mut bytes = Vec::new();
        for (ordinal, mut facts) in day.facts().into_iter().enumerate() {
            let place = |second: i64| from + second.clamp(0, DAY - 1) * (until - from) / DAY;
            facts.created = place(facts.created);
            facts.client = facts.created;
            facts.modified = place(facts.modified).max(facts.created);
            facts.version = match self.elastic {
                true => version(facts.modified, ordinal as i64),
                false => self.versions.next(),
            };
            if !self.elastic && !self.plan.older {
                // Rows of the other tables belong to sessions of their own.
                facts.session = facts.seed;
                facts.kind = GENERATED;
            }
            bytes.clear();
            self.renderer.render(&mut bytes, &facts);
            let created = Instant::from_seconds(facts.created);
            // What was just rendered is a valid object.
            insert.extend(StoredRow::read(self.table, bytes.clone(), created));
        }
    }
}
