//! Scenarios: the data that the emulator has and how it misbehaves, as TOML.

use std::path::{Path, PathBuf};

use copilot_lake_tables::{Table, dataverse_tables};
use serde::Deserialize;

use crate::error::Error;
use crate::scenario::fault::FaultSpec;
use crate::scenario::graph::GraphSpec;
use crate::scenario::moment::Moment;
use crate::scenario::settings::{ServiceSettings, TokenSettings};
use crate::scenario::specs::{Phase, PrivilegeDepth, PrivilegeSpec, TableData};
use crate::tables::{CONTENTS, EVENTS, INTERACTIONS, tables};

/// The data that an emulator has and how it misbehaves. Unknown keys are errors.
///
/// ```toml
/// about = "a throttled scan"        # free text
/// seed = 1                          # equal seeds give equal rows
/// clock = 2025-11-05T12:00:00Z      # the service's time, standing still; left out: the real time
///
/// [token]
/// lifetime = 3600                   # seconds
/// requests = 100                    # a token also expires after that many requests; left out: never
///
/// [service]
/// max_page = 5000                   # largest page, whatever is asked for
/// full_page_link = false            # an exactly full last page has a link to an empty one
/// gzip = false                      # compress answers for those who accept it
/// dop_hint = 52                     # `x-ms-dop-hint`
/// latency_ms = 0                    # before every answer
/// elastic_count = true              # RetrieveTotalRecordCount counts elastic tables
/// language = 1033                   # the caller's: labels come in it and in English
/// base_language = 1033              # the organization's
/// ranges = "served"                 # parts of Files, of 4 MiB at most; "refused", as of Files in the database; "ignored": all is sent
/// # Of each application; left out: none. `execution` is seconds per window, in which a request is said to take `ms_per_request`.
/// limits = { requests = 6000, window = 300, concurrency = 52, execution = 1200, ms_per_request = 0 }
///
/// [[table]]
/// name = "msdyn_copilotevent"
/// rows = 1000                       # generated ones
/// weeks = 4
/// end = 2025-11-01                  # their last day; older interactions end where events begin unless this is said
/// people = 40                       # the largest of all tables counts: they are the rows of `systemuser`, with the agents' user
/// absent = false                    # the environment has no such table
/// without = ["msdyn_aiagent"]       # the environment has no such columns
/// tracked = true                    # changes are tracked; left out: only those of msdyn_copilotevent
/// secured = ["msdyn_interactiondata"]        # columns whose values and Files are refused one by one
///
/// [[table.column]]                  # a column that the definition does not know: null in rows unless `extra` sets it
/// name = "new_region"
/// type = "Choice"                   # Guid, Text, Choice, Lookup, Instant, Int32, Int64, Decimal, Boolean, File
/// options = [{ value = 7, label = "North" }] # without `type`: more options of a known column; in place of `label`
///                                   # `labels = { 1031 = "Nord" }`: by language, and no others
/// targets = ["account"]             # of a Lookup, whose property is `_new_region_value`
///
/// [[table.row]]                     # a row of its own: a generated one with values set
/// values = { createdon = 2025-06-28T23:59:59Z, msdyn_scenariotype = 100230201 }
/// json = { msdyn_verbatim = '"\ud800"' }     # values as JSON text
/// nulls = ["msdyn_name"]
/// omit = ["ttlinseconds"]                    # the property is not sent
/// extra = { new_region = "north" }           # properties that the definition does not know
/// payload_text = "hello"            # or payload_base64 = "...", payload_file = "fixtures/x.json"
/// encoding = "base64+utf-16le"      # of payload_text and of a payload_file that is text; default "utf-8"; "json" may stand first
/// bom = false
/// payload_missing = false           # the row names a File, its bytes are 404
/// payload_from = 2025-11-05T12:00:00Z        # they are before that
/// payload_repeat = 1                # payload_text so many times
/// payload_size = 5                  # what is declared in place of its own size
/// payload_name = "interactiondata.txt"
/// payload_column = "msdyn_interactiondata"   # default: the first File column
/// at = 2025-06-28T23:59:59Z         # where the row stands when its own times are unusable; a time that is null matches no range
///
/// [[table.row]]
/// raw = '{"msdyn_copiloteventid":"...","createdon":"..."}'       # sent as it is
///
/// [[privilege]]                     # what the application may read; left out: everything
/// table = "msdyn_copilotevent"
/// depth = "Basic"                   # its own rows; "Global": all; "none": 403
///
/// [[fault]]                         # see `kind` below
/// at = "page"                       # token, whoami, metadata, count, page, tracking, row, file, history, users, user, members,
///                                   # deleted, any
/// number = 3                        # from the third request of that kind on; or every = 10
/// times = 1                         # how often; default once, with `every` without end
/// table = "msdyn_copilotevent"      # only requests for it
/// matching = "2025-06-22"           # only requests whose decoded URL holds this
/// kind = "429"
/// retry_after = 1                   # seconds; left out: no header
///
/// [[phase]]                         # applied by `Emulator::advance`, one per call; what names no `table` is about the first
/// clock = 2025-11-06T12:00:00Z      # the time from now on
/// row = [{ values = { msdyn_verbatim = "late" } }]               # made just before the clock's time
/// generate = { rows = 100 }         # or several; `from` and `until`: when they are made; default the minute before the clock's time
/// change = [{ position = 0, values = { msdyn_verbatim = "changed" } }]   # gets a new modifiedon and version
/// delete = [{ every = 10 }]         # rows by `position` (in order of creation, negative from the end), `every` or `key`
/// column = [{ table = "msdyn_copilotevent", name = "new_region", type = "Text" }]        # voids the tokens of change tracking
///
/// [graph]                           # Microsoft Graph, at /v1.0 and /beta; left out: its paths are 404
/// users = 200                       # generated ones
/// interactions = 12000              # of all of them together, spread unevenly; those of a meeting count for each who was there
/// days = 91
/// end = 2025-11-01                  # their last day
/// licensed = 0.75                   # shares of users by plan: the plan that histories require, enabled;
/// suspended = 0.05                  # the same, suspended;
/// free = 0.1                        # the free chat only;
/// other = 0.05                      # plans named after Copilot without the one that counts; the rest has none of these
/// disabled = 0.04                   # users whose account may not sign in
/// deleted = 0.02                    # users who were deleted in the 40 days before `end`
/// quiet = 0.15                      # users without interactions; those who never had a licence have none anyway
/// late = { share = 0.02, hours = 6 }         # interactions that can be read only that long (at least half of it) after they were made
/// folders = 2                       # mailbox folders that a history walks over, up to 4
/// roles = ["AiEnterpriseInteraction.Read.All", "User.Read.All", "GroupMember.Read.All"]      # of every token
/// whole_seconds = false             # finer times in filters are refused
/// refuse_filters = false            # every filter is refused
/// everyone_forbidden = false        # every history is refused with 403
/// refuse_unlicensed = false         # histories of users without the plan are refused with 403
/// # Of histories, of each application, in real time; left out: none. Over `window` seconds only the share `sustained` of the rate is
/// # good; `retry_after = false`: refusals do not say how long to wait.
/// limits = { requests_per_second = 30, sustained = 0.83, window = 30, retry_after = true }
///
/// [[graph.user]]                    # a licensed user of its own, behind the generated ones; with `index`: a generated one changed
/// index = 3
/// id = "99999999-0000-0000-0000-000000000001"
/// upn = "ada@contoso.example"
/// licensed = true
/// plans = [{ id = "3f30311c-6b1e-48a4-ab79-725b469da960", status = "Enabled", service = "x", assigned = 2025-01-01 }]       # no others
/// enabled = true
/// deleted = 2025-10-30T08:00:00Z
/// interactions = 12                 # exactly, beside `graph.interactions`, and none of meetings
/// values = { department = "Sales" } # properties as they are sent
/// status = 403                      # the answer to every request for their history, with `code` and `message` where wanted; 200: as usual
///
/// [[graph.group]]
/// id = "aaaaaaaa-0000-0000-0000-000000000001"
/// members = [0, "ada@contoso.example"]       # users by number, object id or principal name
/// first = 50                        # and so many from the first on
/// every = 10                        # and every so many-th
/// groups = ["aaaaaaaa-0000-0000-0000-000000000002"]  # and everyone in these groups
///
/// [[graph.interaction]]             # a generated one with values set
/// user = 0                          # in whose history: by number, object id or principal name
/// values = { createdDateTime = "2025-10-30T10:00:00.25Z", interactionType = "aiResponse", appClass = "IPM.SkypeTeams.Message.Copilot.Word" }
/// json = { sessionId = 'null' }     # values as JSON text
/// omit = ["requestId"]              # properties that are not sent
/// raw = '{"id":"..."}'              # instead of all that: sent as it is
/// arrives = 2025-10-30T16:00:00Z    # when it can be read; left out: when it was made
/// at = 2025-10-30T10:00:00Z         # when it was made, when its values do not say it
/// folder = "TeamChat"               # TeamsMessagesData, TeamChat, CopilotMessages, ConnectedAIApps; left out: that of its appClass
///
/// [phase.graph]                     # in a [[phase]]; `user`, `group` and `interaction` as above
/// interactions = 100                # generated ones of all users between the clock before and the new one less a minute, or `from` and `until`
/// user = [{ index = 1, deleted = 2025-11-06T08:00:00Z }, { index = 2, licensed = false }]    # without a known `index` or `id`: a new one
/// group = [{ id = "aaaaaaaa-0000-0000-0000-000000000001", members = [0] }]   # instead of what was there
/// ```
///
/// Ids of interactions are the milliseconds of their time: they repeat across sessions and users, and sometimes across two sessions of
/// one user; user, session and id together are unique. A history's pages are newest first in each folder, by offset; the token of a link
/// says the folder and the offset, as the service's does. A filter that joins `appClass` by `or` with something else is refused.
///
/// Generated rows of several tables belong together: contexts name chats that are there, older interactions their content,
/// insights conversations of events. One older interaction in 20 is also an event: the first events again. Where no other table
/// has rows, contexts of events name chats all the same. Rows that a phase generates for other tables stand alone.
///
/// Kinds of faults: `429`, `503`, `500`, `408`, `401` (each with `retry_after`, `code` and `message` where wanted), `expired_token` (the
/// token is void from now on), `403_privilege` (for the table that is asked), `403_member`, `cut_body` (less than Content-Length),
/// `cut_chunked`, `reset` (no answer), `not_json` (a proxy's HTML page), `slow` (`ms` before the answer), and for pages, tracking reads and
/// lists of Microsoft Graph:
/// `short_page` (at most `rows`, with a link), `empty_page` (with a link), `duplicate_row` (a page that begins with the last row of the one
/// before), `foreign_link` (to `origin`), `expired_link` (the link that was followed is refused), `expired_delta` (at "tracking" only:
/// the token is refused). `foreign_link` needs no link to follow: there is always one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub(crate) about: String,
    pub(crate) seed: u64,
    pub(crate) clock: Option<Moment>,
    pub(crate) token: TokenSettings,
    pub(crate) service: ServiceSettings,
    pub(crate) table: Vec<TableData>,
    pub(crate) privilege: Vec<PrivilegeSpec>,
    pub(crate) fault: Vec<FaultSpec>,
    pub(crate) phase: Vec<Phase>,
    pub(crate) graph: Option<GraphSpec>,
    #[serde(skip)]
    pub(crate) base: PathBuf,
}

/// Rows that one day may have: a segment's offsets have 32 bits.
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

    /// That many generated events in that many weeks, and rows of the other tables in proportion: older interactions a fifth
    /// (in as many weeks before), contents of those a fifteenth, chats, their messages and insights a twentieth each. No
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

    /// A tenant of Microsoft Graph alone: that many users with that many interactions in 13 weeks; no faults, no limits.
    pub fn tenant(users: u32, interactions: u32) -> Self {
        Self { seed: 1, graph: Some(GraphSpec { users, interactions, ..GraphSpec::default() }), ..Self::default() }
    }

    /// What is said about a table; a table that is not named exists and is empty.
    pub(crate) fn data(&self, table: &str) -> TableData {
        let named = self.table.iter().find(|data| data.name == table).cloned();
        named.unwrap_or_else(|| TableData { name: table.to_owned(), ..TableData::default() })
    }

    /// How far the application may read a table.
    pub(crate) fn depth(&self, table: &str) -> PrivilegeDepth {
        self.privilege
            .iter()
            .find(|privilege| privilege.table == table)
            .map_or(PrivilegeDepth::Global, |found| found.depth)
    }

    /// How many people there are: as many as the table that names most.
    pub(crate) fn people(&self) -> usize {
        self.table.iter().filter_map(|data| data.people).max().unwrap_or(40)
    }

    fn check(&self) -> Result<(), Error> {
        let known = |name: &str| tables().find(|table| table.name == name);
        for (number, data) in self.table.iter().enumerate() {
            let table = known(&data.name).ok_or_else(|| Error::scenario(format!("no table `{}`", data.name)))?;
            if self.table[..number].iter().any(|other| other.name == data.name) {
                return Err(Error::scenario(format!("table `{}` twice", data.name)));
            }
            let days = data.days() as usize;
            if data.rows > days * ROWS_PER_DAY / 2 {
                return Err(Error::scenario(format!("{} rows need more than {days} days", data.rows)));
            }
            let knows = |name: &str| table.columns.iter().any(|column| column.name == name || column.wire == name);
            let named = data.without.iter().chain(&data.secured).map(String::as_str);
            // A column without a type is a known one that gets options.
            let mut named =
                named.chain(data.column.iter().filter(|column| column.ty.is_none()).map(|column| &*column.name));
            if let Some(name) = named.find(|name| !knows(name)) {
                return Err(Error::scenario(format!("table `{}` has no column `{name}`", table.name)));
            }
            if let Some(column) = data.column.iter().find(|column| column.ty.is_some() && knows(&column.name)) {
                return Err(Error::scenario(format!("`{}` has a type already", column.name)));
            }
        }
        self.graph.iter().try_for_each(GraphSpec::check)?;
        for graph in self.phase.iter().filter_map(|phase| phase.graph.as_ref()) {
            graph.check()?;
            self.graph.as_ref().ok_or_else(|| Error::scenario("a phase of `graph` needs [graph]"))?;
        }
        for name in self.named() {
            known(name).ok_or_else(|| Error::scenario(format!("no table `{name}`")))?;
        }
        self.fault.iter().try_for_each(FaultSpec::check)
    }

    /// Every table that is named beside `[[table]]`.
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
