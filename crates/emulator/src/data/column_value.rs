//! How the value of each column is made, and its JSON.

use copilot_lake_tables::{Column, Table, Type};

use crate::data::dates::Dates;
use crate::data::interaction_context::context;
use crate::data::json::{instant, null, number, quote, quoted_guid, string};
use crate::data::prose;
use crate::data::random::{hash, mix};
use crate::data::representatives::People;
use crate::data::row_facts::{GENERATED, Identity, RowFacts, THUMBS_DOWN, THUMBS_UP};
use crate::data::row_links::{RowLinks, file_seed};
use crate::data::text;
use crate::identity::ORGANIZATION_ID;

/// The rule that makes a column's values: by the column where its meaning is known, else by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnRule {
    Id,
    Partition,
    Created,
    Modified,
    Client,
    Overridden,
    Version,
    State,
    Scenario,
    Kind,
    Agent,
    Request,
    Creator,
    Owner,
    OwningUser,
    OwningTeam,
    OwningUnit,
    Delegate,
    Organization,
    ForTable,
    ForId,
    /// The lookup from an older interaction to its content.
    Content,
    /// The lookup from messages to their chat.
    Transcript,
    Conversation,
    /// The row that a chat belongs to, or the meeting that an insight is about, and the table of it.
    Regarding(u64),
    RegardingTable(u64),
    TimeToLive,
    Zone,
    ZoneRule,
    Import,
    File,
    FileName,
    Name,
    Verbatim,
    Context,
    Parameters,
    Summary,
    LongText,
    TableName,
    Subject,
    Mode,
    Skill,
    UserObject,
    UserName,
    UserTitle,
    UserUnit,
    UserUnitName,
    UserDisabled,
    Typed,
    /// Like `Typed`, but null in most rows.
    Seldom,
    /// A column that the definition does not know: null unless a scenario sets it.
    Null,
}

/// Everything that a value may depend on.
pub(crate) struct ValueContext<'a> {
    pub(crate) table: &'static Table,
    pub(crate) identity: Identity,
    pub(crate) people: &'a People,
    pub(crate) links: &'a RowLinks,
    pub(crate) facts: &'a RowFacts,
}

impl ColumnRule {
    pub(crate) fn for_column(table: &Table, column: &Column) -> Self {
        let activity = table.key.first() == Some(&"activityid");
        match column.name {
            "partitionid" => Self::Partition,
            name if table.key.first() == Some(&name) => Self::Id,
            "createdon" | "actualstart" | "sortdate" => Self::Created,
            "modifiedon" | "actualend" => Self::Modified,
            "msdyn_clienttimestamp" => Self::Client,
            "overriddencreatedon" => Self::Overridden,
            "versionnumber" => Self::Version,
            "statecode" | "statuscode" => Self::State,
            "msdyn_scenariotype" => Self::Scenario,
            "msdyn_interactiontype" => Self::Kind,
            "msdyn_aiagent" => Self::Agent,
            "msdyn_scenariorequestid" => Self::Request,
            "createdby" | "modifiedby" => Self::Creator,
            "ownerid" => Self::Owner,
            "owninguser" => Self::OwningUser,
            "owningteam" => Self::OwningTeam,
            "owningbusinessunit" => Self::OwningUnit,
            "createdonbehalfby" | "modifiedonbehalfby" => Self::Delegate,
            "organizationid" => Self::Organization,
            "msdyn_interactionforlogicalname" | "msdyn_transcriptforlogicalname" => Self::ForTable,
            "msdyn_interactionforid" | "msdyn_transcriptforid" => Self::ForId,
            "msdyn_interactiondataid" => Self::Content,
            "msdyn_copilottranscriptid" => Self::Transcript,
            "msdyn_conversationid" => Self::Conversation,
            "regardingobjectid" => Self::Regarding(600),
            "regardingobjectid_table" => Self::RegardingTable(600),
            "msdyn_conversationinsighttarget" => Self::Regarding(80),
            "msdyn_conversationinsighttarget_table" => Self::RegardingTable(80),
            "ttlinseconds" => Self::TimeToLive,
            "utcconversiontimezonecode" => Self::Zone,
            "timezoneruleversionnumber" => Self::ZoneRule,
            "importsequencenumber" => Self::Import,
            "msdyn_name" => Self::Name,
            "msdyn_verbatim" => Self::Verbatim,
            "msdyn_interactioncontext" => Self::Context,
            "msdyn_additionalcontext" | "activityadditionalparams" | "msdyn_copilotsummaryrequestcontext" => {
                Self::Parameters
            }
            "msdyn_copilotsummary" => Self::Summary,
            "msdyn_summary" | "description" => Self::LongText,
            "activitytypecode" => Self::TableName,
            "subject" => Self::Subject,
            "msdyn_copilotmode" => Self::Mode,
            "msdyn_copilotskill" => Self::Skill,
            "entra_object_id" => Self::UserObject,
            "full_name" => Self::UserName,
            "title" => Self::UserTitle,
            "business_unit_id" => Self::UserUnit,
            "business_unit" => Self::UserUnitName,
            "is_disabled" => Self::UserDisabled,
            name if name.strip_suffix("_name").is_some_and(|file| table.files().any(|column| column.name == file)) => {
                Self::FileName
            }
            _ if matches!(column.ty, Type::File) => Self::File,
            // Most columns of activities are for other kinds of them.
            _ if activity && !matches!(column.ty, Type::Boolean | Type::Choice(_)) => Self::Seldom,
            _ => Self::Typed,
        }
    }

    /// Whether a row lacks the property altogether: the annotation of a null value.
    pub(crate) fn is_absent(self, facts: &RowFacts) -> bool {
        matches!(self, Self::RegardingTable(permille) if !facts.random(16).chance(permille))
    }
}

impl ValueContext<'_> {
    /// Writes one value; returns whether it is the id of a File.
    pub(crate) fn write(&self, out: &mut Vec<u8>, dates: &mut Dates, column: &Column, value: ColumnRule) -> bool {
        let Self { facts, people, links, .. } = *self;
        let person = if facts.agent().is_some() { &people.service } else { people.get(facts.person) };
        let team_owns = facts.session.is_multiple_of(29);
        let rarely = |salt: u64, permille: u64| facts.random(salt).chance(permille);
        match value {
            ColumnRule::Id => self.id(out),
            ColumnRule::Partition => {
                out.push(b'"');
                dates.partition(out, facts.created, facts.scenario);
                out.push(b'"');
            }
            ColumnRule::Created => instant(out, dates, facts.created),
            ColumnRule::Modified => instant(out, dates, facts.modified),
            ColumnRule::Client => instant(out, dates, facts.client),
            // Migrated rows are rare: they keep their original day and name their import.
            ColumnRule::Overridden if rarely(11, 4) => {
                instant(out, dates, facts.created - facts.created.rem_euclid(86_400) - 86_400);
            }
            ColumnRule::Import if rarely(11, 4) => number(out, 1 + (facts.seed % 9) as i64),
            ColumnRule::Version => number(out, facts.version),
            ColumnRule::State => number(out, i64::from(self.state(column))),
            ColumnRule::Scenario => number(out, i64::from(facts.scenario)),
            ColumnRule::Kind => number(out, i64::from(facts.kind)),
            ColumnRule::Agent => match facts.agent() {
                Some(agent) => number(out, i64::from(agent)),
                None => null(out),
            },
            ColumnRule::Request if facts.request != 0 => quoted_guid(out, facts.request),
            ColumnRule::Creator => quote(out, person.id.as_bytes()),
            ColumnRule::Owner => quote(out, if team_owns { person.team.as_bytes() } else { person.id.as_bytes() }),
            ColumnRule::OwningUser if !team_owns => quote(out, person.id.as_bytes()),
            ColumnRule::OwningTeam if team_owns => quote(out, person.team.as_bytes()),
            ColumnRule::OwningUnit => quote(out, person.unit.as_bytes()),
            ColumnRule::Delegate if rarely(12, 5) => quote(out, people.service.id.as_bytes()),
            ColumnRule::Organization => quote(out, ORGANIZATION_ID.as_bytes()),
            ColumnRule::ForTable => quote(out, facts.for_table().as_bytes()),
            ColumnRule::ForId if facts.for_table() == "systemuser" => quote(out, person.id.as_bytes()),
            ColumnRule::ForId | ColumnRule::Conversation => quoted_guid(out, facts.subject()),
            ColumnRule::Content if links.contents.contains(&facts.seed) => {
                quoted_guid(out, Identity::Content.seed(facts));
            }
            ColumnRule::Transcript if links.transcripts.contains(&facts.session) => {
                quoted_guid(out, Identity::Transcript.seed(facts));
            }
            ColumnRule::Regarding(permille) if rarely(16, permille) => quoted_guid(out, mix(facts.session, 6)),
            ColumnRule::RegardingTable(_) => quote(out, self.regarding().as_bytes()),
            ColumnRule::TimeToLive if rarely(13, 10) => number(out, 63_072_000),
            ColumnRule::Zone if facts.seed.is_multiple_of(2) => number(out, 190),
            ColumnRule::ZoneRule if facts.seed.is_multiple_of(2) => number(out, 0),
            ColumnRule::File if has_file(facts, column.name) => {
                quoted_guid(out, file_seed(facts, column.name));
                return true;
            }
            ColumnRule::FileName => {
                let file = column.name.strip_suffix("_name").unwrap_or(column.name);
                // The same salt gives the same decision for the File and its name.
                if has_file(facts, file) {
                    let name = file.strip_prefix("msdyn_").unwrap_or(file);
                    let extension = if name == "interactiondata" { "txt" } else { "json" };
                    quote(out, format!("{name}.{extension}").as_bytes());
                } else {
                    null(out);
                }
            }
            ColumnRule::Name if rarely(14, 8) => string(out, "Copilot event"),
            ColumnRule::Verbatim => match verbatim(facts, people) {
                Some(text) => string(out, text),
                None => null(out),
            },
            ColumnRule::Context => {
                out.push(b'"');
                for c in context(facts, links.chat(facts)).bytes() {
                    if c == b'"' {
                        out.push(b'\\');
                    }
                    out.push(c);
                }
                out.push(b'"');
            }
            ColumnRule::Parameters if rarely(hash(column.name.as_bytes()), 500) => {
                string(out, &prose::parameters(facts));
            }
            ColumnRule::Summary if rarely(17, 900) => {
                string(out, &prose::summary(facts, people.get(facts.person).language));
            }
            ColumnRule::LongText if rarely(18, 100) => {
                string(out, &text::passage(&mut facts.random(19), people.get(facts.person).language, 200));
            }
            ColumnRule::TableName => quote(out, self.table.name.as_bytes()),
            ColumnRule::Subject => string(out, prose::question(facts, people.get(facts.person).language)),
            ColumnRule::Mode => quote(out, facts.random(20).weighted(&[(&b"conversation"[..], 8), (b"standalone", 2)])),
            ColumnRule::Skill if rarely(22, 700) => quote(out, b"ask_a_question"),
            ColumnRule::UserObject
            | ColumnRule::UserName
            | ColumnRule::UserTitle
            | ColumnRule::UserUnit
            | ColumnRule::UserUnitName
            | ColumnRule::UserDisabled => self.user(out, value),
            ColumnRule::Typed => self.typed(out, dates, column),
            ColumnRule::Seldom if rarely(mix(hash(column.name.as_bytes()), 23), 40) => self.typed(out, dates, column),
            ColumnRule::Overridden
            | ColumnRule::Import
            | ColumnRule::Request
            | ColumnRule::OwningUser
            | ColumnRule::OwningTeam
            | ColumnRule::Delegate
            | ColumnRule::Content
            | ColumnRule::Transcript
            | ColumnRule::Regarding(_)
            | ColumnRule::TimeToLive
            | ColumnRule::Zone
            | ColumnRule::ZoneRule
            | ColumnRule::File
            | ColumnRule::Name
            | ColumnRule::Parameters
            | ColumnRule::Summary
            | ColumnRule::LongText
            | ColumnRule::Skill
            | ColumnRule::Seldom
            | ColumnRule::Null => null(out),
        }
        false
    }

    fn id(&self, out: &mut Vec<u8>) {
        match (self.identity, self.people.user(self.facts.person)) {
            (Identity::User, Some(person)) => quote(out, person.id.as_bytes()),
            _ => quoted_guid(out, self.identity.seed(self.facts)),
        }
    }

    /// State or status: most rows are active, most chats are completed.
    fn state(&self, column: &Column) -> i32 {
        let activity = matches!(column.ty, Type::Choice(set) if set.options.len() > 2);
        let state = self.facts.random(24).weighted(&[(i32::from(activity), 97), (i32::from(!activity), 3)]);
        // Each status belongs to one state, and statuses count from 1.
        if column.name == "statuscode" { state + 1 } else { state }
    }

    /// The table of the row that a chat or an insight belongs to.
    fn regarding(&self) -> &'static str {
        let chats: &[(&str, u32)] = &[("incident", 8), ("account", 1), ("contact", 1)];
        let insights: &[(&str, u32)] = &[("phonecall", 3), ("appointment", 1)];
        let of = if self.identity == Identity::Insight { insights } else { chats };
        self.facts.random(25).weighted(of)
    }

    fn user(&self, out: &mut Vec<u8>, value: ColumnRule) {
        let Some(person) = self.people.user(self.facts.person) else { return null(out) };
        match (value, person.title) {
            (ColumnRule::UserObject, _) => quote(out, person.object.as_bytes()),
            (ColumnRule::UserName, _) => string(out, &person.name),
            (ColumnRule::UserTitle, Some(title)) => string(out, title),
            (ColumnRule::UserUnit, _) => quote(out, person.unit.as_bytes()),
            (ColumnRule::UserUnitName, _) => string(out, self.people.name(&person.unit).unwrap_or_default()),
            (ColumnRule::UserDisabled, _) => out.extend_from_slice(if person.disabled { b"true" } else { b"false" }),
            _ => null(out),
        }
    }

    /// A meaningless value of the column's type.
    fn typed(&self, out: &mut Vec<u8>, dates: &mut Dates, column: &Column) {
        let Self { facts, people, .. } = *self;
        let mut random = facts.random(hash(column.name.as_bytes()));
        match column.ty {
            _ if !column.required && random.chance(100) => null(out),
            Type::Guid | Type::File => quoted_guid(out, random.next()),
            Type::Text => string(out, text::sentence(&mut random, people.get(facts.person).language)),
            Type::Choice(set) => number(out, i64::from(random.pick(set.options).0)),
            Type::Lookup(["systemuser", ..]) => quote(out, people.get(random.below(1 << 16) as u16).id.as_bytes()),
            Type::Lookup(_) => quoted_guid(out, mix(facts.session, 5)),
            Type::Instant => instant(out, dates, facts.created),
            Type::Int32 | Type::Int64 => number(out, random.below(1_000) as i64),
            Type::Decimal => {
                number(out, random.below(1_000) as i64);
                out.extend_from_slice(b".25");
            }
            Type::Boolean => out.extend_from_slice(if random.chance(500) { b"true" } else { b"false" }),
        }
    }
}

/// Whether a row names a File in that column.
pub(crate) fn has_file(facts: &RowFacts, column: &str) -> bool {
    let permille = match column {
        "msdyn_transcriptdata" => 985,
        "msdyn_insights" => 750,
        "msdyn_transcriptwithinsights" => 60,
        _ => 930,
    };
    facts.kind == GENERATED && facts.random(hash(column.as_bytes())).chance(permille)
}

/// The representative's comment: with a third of the thumbs-down ratings, rarely with a thumbs-up.
pub(crate) fn verbatim(facts: &RowFacts, people: &People) -> Option<&'static str> {
    let mut random = facts.random(15);
    let wrote = match facts.kind {
        THUMBS_DOWN => random.chance(380),
        THUMBS_UP => random.chance(40),
        _ => false,
    };
    wrote.then(|| text::verbatim(&mut random, people.get(facts.person).language))
}
