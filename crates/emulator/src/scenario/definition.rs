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
/// about = "a throttled scan"        # free text
/// seed = 1                          # equal seeds give equal rows
/// clock = 2025-11-05T12:00:00Z      # the service's fixed time; default: the real time
///
/// [token]
/// lifetime = 3600                   # seconds
/// requests = 100                    # a token also expires after that many requests; default: never
///
/// [service]
/// max_page = 5000                   # the largest page, whatever size is preferred
/// full_page_link = false            # an exactly full last page links to an empty one
/// gzip = false                      # compress responses for clients that accept it
/// dop_hint = 52                     # `x-ms-dop-hint`
/// latency_ms = 0                    # before every response
/// elastic_count = true              # RetrieveTotalRecordCount counts elastic tables
/// language = 1033                   # the caller's: labels come in it and in English
/// base_language = 1033              # the organization's
/// ranges = "served"                 # of Files, 4 MiB at most; "refused", as for Files in the database; "ignored": sends all of it
/// refuse_batches = 405              # the status of every batch; default: they are answered
/// # Per application; default: none. `execution`: seconds per window, of which each request takes a nominal `ms_per_request`. A
/// # batch is one request, and takes that and `latency_ms` for each of its parts. `servers` take requests in turn and count for themselves.
/// # Time passes `compression` times as fast for the window and for `Retry-After`.
/// limits = { requests = 6000, window = 300, concurrency = 52, execution = 1200, ms_per_request = 0, servers = 1, compression = 1 }
///
/// [[application]]                   # what is different for one of the two applications
/// number = 2
/// revoked_after = 100               # requests to the services; then neither its tokens nor its secret are accepted
/// member = true                     # false: 403, the environment has no user for it
///
/// [[table]]
/// name = "msdyn_copilotevent"
/// rows = 1000                       # generated ones
/// weeks = 4
/// end = 2025-11-01                  # their last day; older interactions end by default where events begin
/// people = 40                       # the largest of all tables counts; the rows of `systemuser`, with the agents' user
/// absent = false                    # the environment has no such table
/// without = ["msdyn_aiagent"]       # the environment has no such columns
/// tracked = true                    # change tracking; default: only for msdyn_copilotevent
/// secured = ["msdyn_interactiondata"]        # columns whose Files are refused
///
/// [[table.column]]                  # a column beyond the definition: null in rows unless `extra` sets it
/// name = "new_region"
/// type = "Choice"                   # Guid, Text, Choice, Lookup, Instant, Int32, Int64, Decimal, Boolean, File
/// options = [{ value = 7, label = "North" }] # without `type`: more options of a known column; in place of `label`
///                                   # `labels = { 1031 = "Nord" }`: by language, and no others
/// targets = ["account"]             # of a Lookup, whose property is `_new_region_value`
///
/// [[table.row]]                     # an explicit row: a generated one with values set
/// values = { createdon = 2025-06-28T23:59:59Z, msdyn_scenariotype = 100230201 }
/// json = { msdyn_verbatim = '"\ud800"' }     # values as JSON text
/// nulls = ["msdyn_name"]
/// omit = ["ttlinseconds"]                    # the property is not sent
/// extra = { new_region = "north" }           # properties beyond the definition
/// payload_text = "hello"            # or payload_base64 = "...", payload_file = "fixtures/x.json"
/// encoding = "base64+utf-16le"      # of payload_text and of a payload_file that is text; default "utf-8"; "json" may stand first
/// bom = false
/// payload_missing = false           # the row names a File whose bytes are 404
/// payload_from = 2025-11-05T12:00:00Z        # so they are before this time
/// payload_repeat = 1                # repeats payload_text
/// payload_size = 5                  # the declared size, instead of the real one
/// payload_name = "interactiondata.txt"
/// at = 2025-06-28T23:59:59Z         # the row's place in the order when its own times are unusable; a null matches no range
///
/// [[table.row]]
/// raw = '{"msdyn_copiloteventid":"...","createdon":"..."}'       # sent verbatim
///
/// [[privilege]]                     # what the application may read; default: everything
/// table = "msdyn_copilotevent"
/// depth = "Basic"                   # its own rows; "Global": all; "none": 403
///
/// [[fault]]                         # see `kind` below
/// at = "page"                       # token, whoami, metadata, privileges, count, page, tracking, file, batch, history, users, user,
///                                   # members, deleted, any; "file" is also a part of a batch, unless the batch has a fault
/// number = 3                        # from the third request of that kind on; or every = 10
/// times = 1                         # how often; default: once, with `every` forever
/// table = "msdyn_copilotevent"      # only requests for it
/// matching = "2025-06-22"           # only requests whose decoded URL holds this
/// holding = "1b4e28ba"              # only where the response would hold this; `kind` is an error response
/// kind = "429"
/// retry_after = 1                   # seconds; default: no header
///
/// [[phase]]                         # applied by `Emulator::advance`, one per call; entries without `table` are about the first
/// clock = 2025-11-06T12:00:00Z      # the time from now on
/// row = [{ values = { msdyn_verbatim = "late" } }]               # made just before the clock's time
/// generate = { rows = 100 }         # or several; created between `from` and `until`, by default in the minute before the clock's time
/// change = [{ position = 0, values = { msdyn_verbatim = "changed" } }]   # gets a new modifiedon and version
/// delete = [{ every = 10 }]         # rows by `position` (in order of creation, negative from the end), `every` or `key`
/// column = [{ table = "msdyn_copilotevent", name = "new_region", type = "Text" }]        # voids the tokens of change tracking
///
/// [graph]                           # Microsoft Graph, at /v1.0 and /beta; without it its paths are 404
/// users = 200                       # generated ones
/// interactions = 12000              # of all users together, spread unevenly; those of a meeting count for each participant
/// days = 91
/// end = 2025-11-01                  # their last day
/// licensed = 0.75                   # users with the plan that histories require, enabled
/// deleted = 0.02                    # users who were deleted in the 40 days before `end`
/// quiet = 0.15                      # users without interactions, beside those who never had a licence
/// late = { share = 0.02, hours = 6 }         # interactions that become readable only 3 to 6 hours after they were made
/// folders = 2                       # mailbox folders that a history covers, up to 4
/// roles = ["AiEnterpriseInteraction.Read.All", "User.Read.All", "GroupMember.Read.All"]      # of every token
/// whole_seconds = false             # finer times in filters are refused
/// refuse_filters = false            # every filter is refused
/// everyone_forbidden = false        # every history is refused with 403
/// refuse_unlicensed = false         # histories of users without the plan are refused with 403
/// # On histories, per application, in real time; default: none. Over `window` seconds only the share `sustained` of the rate is
/// # allowed; `retry_after = false`: refusals carry no `Retry-After`.
/// limits = { requests_per_second = 30, sustained = 0.83, window = 30, retry_after = true }
///
/// [[graph.user]]                    # an explicit licensed user, after the generated ones; with `index`: changes a generated one
/// index = 3
/// id = "99999999-0000-0000-0000-000000000001"
/// upn = "ada@contoso.example"
/// licensed = true
/// plans = [{ id = "3f30311c-6b1e-48a4-ab79-725b469da960", status = "Enabled" }]       # and no others
/// enabled = true
/// deleted = 2025-10-30T08:00:00Z
/// interactions = 12                 # exactly, beside `graph.interactions`, and none of meetings
/// values = { department = "Sales" } # properties as they are sent
/// status = 403                      # of every request for their history, with an optional `code` and `message`; 200: as usual
///
/// [[graph.group]]
/// id = "aaaaaaaa-0000-0000-0000-000000000001"
/// members = [0, "ada@contoso.example"]       # users by number, object id or principal name
/// first = 50                        # and the first 50 users
/// every = 10                        # and every tenth user, starting with the first
/// groups = ["aaaaaaaa-0000-0000-0000-000000000002"]  # and everyone in these groups
///
/// [[graph.interaction]]             # a generated one with values set
/// user = 0                          # in whose history: by number, object id or principal name
/// values = { createdDateTime = "2025-10-30T10:00:00.25Z", interactionType = "aiResponse", appClass = "IPM.SkypeTeams.Message.Copilot.Word" }
/// json = { sessionId = 'null' }     # values as JSON text
/// omit = ["requestId"]              # properties that are not sent
/// raw = '{"id":"..."}'              # instead of all that: sent verbatim
/// arrives = 2025-10-30T16:00:00Z    # when it becomes readable; default: when it was made
/// at = 2025-10-30T10:00:00Z         # when it was made, if its values do not say so
/// folder = "TeamChat"               # TeamsMessagesData, TeamChat, CopilotMessages, ConnectedAIApps; default: that of its appClass
///
/// [phase.graph]                     # in a [[phase]]; `user`, `group` and `interaction` as above
/// interactions = 100                # generated for all users between the old clock and a minute before the new one, or `from` and `until`
/// user = [{ index = 1, deleted = 2025-11-06T08:00:00Z }, { index = 2, licensed = false }]    # a new one without a known `index` or `id`
/// group = [{ id = "aaaaaaaa-0000-0000-0000-000000000001", members = [0] }]   # instead of what was there
/// ```
///
/// Ids of interactions are the milliseconds of their time: they repeat across sessions and users, and sometimes across two sessions of
/// one user; user, session and id together are unique. A history's pages are newest first in each folder, by offset; the token of a link
/// holds the folder and the offset, as the service's does. A filter that joins `appClass` by `or` with something else is refused.
///
/// Generated rows of different tables belong together: contexts name existing chats, older interactions their content,
/// insights conversations of events. One older interaction in 20 is also one of the first events. Where no other table
/// has rows, contexts of events name chats all the same. Rows that a phase generates for other tables stand alone.
///
/// Kinds of faults: `429`, `503`, `500`, `408`, `401`, `400` (without a word; each with an optional `retry_after`, `code` and `message`), `expired_token` (the
/// token expires at once), `403_privilege` (for the requested table), `403_member`, `cut_body` (less than Content-Length),
/// `cut_chunked`, `reset` (no response), `not_json` (a proxy's HTML page), `slow` (`ms` before the response), and for pages, tracking reads and
/// lists of Microsoft Graph:
/// `short_page` (at most `rows`, with a link), `empty_page` (with a link), `duplicate_row` (a page that begins with the last row of the one
/// before), `foreign_link` (to `origin`), `expired_link` (the followed link is refused), `expired_delta` (at "tracking" only:
/// the token is refused). `foreign_link` adds a link where there is none.
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
