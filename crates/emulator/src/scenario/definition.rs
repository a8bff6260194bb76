//! The scenario: what the emulator serves and how it misbehaves, as TOML.

use std::path::{Path, PathBuf};

use copilot_lake_tables::{Table, dataverse_tables};
use serde::Deserialize;

use crate::data::row_facts::Identity;
use crate::emulated_tables::{CONTENTS, EVENTS, INTERACTIONS, tables};
use crate::error::Error;
use crate::identity::APPLICATIONS;
use crate::scenario::fault_spec::FaultSpec;
use crate::scenario::graph::{GraphSpec, InteractionSpec};
use crate::scenario::service_settings::{ApplicationSpec, ServiceSettings, TokenSettings};
use crate::scenario::specs::{Phase, PrivilegeSpec, ReadDepth, TableData};
use crate::scenario::toml_value::Moment;

/// What an emulator serves and how it misbehaves. Unknown keys are errors.
///
/// ```toml
#[doc = include_str!("../../scenario.toml")]
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub(crate) about: String,
    pub(crate) seed: u64,
    pub(crate) clock: Option<Moment>,
    pub(crate) token: TokenSettings,
    pub(crate) service: ServiceSettings,
    pub(crate) application: Vec<ApplicationSpec>,
    pub(crate) table: Vec<TableData>,
    pub(crate) privilege: Vec<PrivilegeSpec>,
    pub(crate) fault: Vec<FaultSpec>,
    pub(crate) phase: Vec<Phase>,
    pub(crate) graph: Option<GraphSpec>,
    #[serde(skip)]
    pub(crate) base: PathBuf,
}

/// The most rows of a day: offsets in a segment have 32 bits.
const ROWS_PER_DAY: usize = 1_000_000;

impl Scenario {
    /// Reads a scenario; files that it names are looked for in the working directory.
    ///
    /// # Errors
    /// [`Error::Scenario`]: not TOML, an unknown key, table or column, or values that contradict each other.
    pub fn parse(toml: &str) -> Result<Self, Error> {
        Self::parse_in(toml, Path::new("."))
    }

    /// Reads a scenario; files that it names are looked for in that directory.
    ///
    /// # Errors
    /// As [`Scenario::parse`].
    pub fn parse_in(toml: &str, base: &Path) -> Result<Self, Error> {
        let toml = toml.trim_start_matches('\u{feff}');
        let mut scenario: Self = toml::from_str(toml).map_err(|error| Error::scenario(error.to_string().trim_end()))?;
        scenario.base = base.to_owned();
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a scenario file; files that it names are looked for beside it.
    ///
    /// # Errors
    /// As [`Scenario::parse`], and [`Error::File`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Self::parse_in(&text, path.parent().unwrap_or(Path::new(".")))
    }

    /// What `copilot-lake demo` shows: 60,000 events in 13 weeks and what belongs to them, 12,000 interactions of 200 users in as
    /// many weeks, no faults, no limits, no compression.
    pub fn demo() -> Self {
        Self { graph: Self::tenant(200, 12_000).graph, ..Self::rows(60_000, 13) }
    }

    /// Generated events in a number of weeks, and rows of the other tables in proportion: a fifth in older interactions
    /// (in as many weeks before), a fifteenth in their contents, a twentieth each in chats, messages and insights. No
    /// faults, no limits, no compression.
    pub fn rows(rows: usize, weeks: u16) -> Self {
        let data = |table: &Table| TableData {
            name: table.name.to_owned(),
            rows: match table.name {
                EVENTS => rows,
                INTERACTIONS => rows / 5,
                CONTENTS => rows / 15,
                _ => rows / 20,
            },
            weeks: Some(weeks),
            ..TableData::default()
        };
        Self { seed: 1, table: dataverse_tables().map(data).collect(), ..Self::default() }
    }

    /// A tenant of Microsoft Graph alone, with interactions in 13 weeks; no faults, no limits.
    pub fn tenant(users: u32, interactions: u32) -> Self {
        Self { seed: 1, graph: Some(GraphSpec { users, interactions, ..GraphSpec::default() }), ..Self::default() }
    }

    /// The entry of a table; a table without one exists and is empty.
    pub(crate) fn data(&self, table: &str) -> TableData {
        let named = self.table.iter().find(|data| data.name == table).cloned();
        named.unwrap_or_else(|| TableData { name: table.to_owned(), ..TableData::default() })
    }

    /// How far the application may read a table.
    pub(crate) fn depth(&self, table: &str) -> ReadDepth {
        self.privilege.iter().find(|privilege| privilege.table == table).map_or(ReadDepth::Global, |found| found.depth)
    }

    /// The number of people: the largest that any table sets.
    pub(crate) fn people(&self) -> usize {
        self.table.iter().filter_map(|data| data.people).max().unwrap_or(40)
    }

    fn check(&self) -> Result<(), Error> {
        let known = |name: &str| tables().find(|table| table.name == name);
        for (number, data) in self.table.iter().enumerate() {
            let table = known(&data.name).ok_or_else(|| Error::scenario(format!("no table `{}`", data.name)))?;
            Identity::for_table(table)?;
            if self.table[..number].iter().any(|other| other.name == data.name) {
                return Err(Error::scenario(format!("table `{}` is listed twice", data.name)));
            }
            let days = data.days() as usize;
            if data.rows > days * ROWS_PER_DAY / 2 {
                return Err(Error::scenario(format!("{} rows need more than {days} days", data.rows)));
            }
            let knows = |name: &str| table.columns.iter().any(|column| column.name == name || column.wire == name);
            let named = data.without.iter().chain(&data.secured).map(String::as_str);
            // A column without a type adds options to a known one.
            let mut named =
                named.chain(data.column.iter().filter(|column| column.ty.is_none()).map(|column| &*column.name));
            if let Some(name) = named.find(|name| !knows(name)) {
                return Err(Error::scenario(format!("table `{}` has no column `{name}`", table.name)));
            }
            if let Some(column) = data.column.iter().find(|column| column.ty.is_some() && knows(&column.name)) {
                return Err(Error::scenario(format!("`{}` already has a type", column.name)));
            }
        }
        if self.application.iter().any(|spec| !(1..=APPLICATIONS.len()).contains(&spec.number)) {
            return Err(Error::scenario(format!("applications have numbers from 1 to {}", APPLICATIONS.len())));
        }
        self.graph.iter().try_for_each(GraphSpec::check)?;
        for graph in self.phase.iter().filter_map(|phase| phase.graph.as_ref()) {
            graph.interaction.iter().try_for_each(InteractionSpec::check)?;
            self.graph.as_ref().ok_or_else(|| Error::scenario("a phase of `graph` needs [graph]"))?;
        }
        for name in self.named() {
            known(name).ok_or_else(|| Error::scenario(format!("no table `{name}`")))?;
        }
        self.fault.iter().try_for_each(FaultSpec::check)
    }

    /// Every table that is named outside `[[table]]`.
    fn named(&self) -> impl Iterator<Item = &str> {
        let faults = self.fault.iter().filter_map(|fault| fault.table.as_deref());
        let phases = self.phase.iter().flat_map(|phase| {
            let rows = phase.row.iter().chain(&phase.change).chain(&phase.delete);
            let columns = phase.column.iter().filter_map(|column| column.table.as_deref());
            let generate = phase.generate.iter().filter_map(|more| more.table.as_deref());
            rows.filter_map(|row| row.table.as_deref()).chain(columns).chain(generate)
        });
        faults.chain(phases).chain(self.privilege.iter().map(|privilege| privilege.table.as_str()))
    }
}
