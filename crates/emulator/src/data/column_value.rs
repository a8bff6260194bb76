//! How the value of each column is made, and its JSON.

use copilot_lake_tables::{Column, Table, Type};

use crate::data::context_json::context;
use crate::data::json_writer::{boolean, instant, null, number, quote, quoted_guid, string};
use crate::data::prose;
use crate::data::random::{hash, mix};
use crate::data::representatives::{People, Representative};
use crate::data::row_facts::{GENERATED, Identity, RowFacts, THUMBS_DOWN, THUMBS_UP};
use crate::data::row_links::{RowLinks, file_seed};
use crate::data::texts::{DATAVERSE, Language};
use crate::identity::ORGANIZATION_ID;

type WriteValue = fn(&ValueContext<'_>, &mut Vec<u8>, &Column);

/// The rule by which a column's values are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnRule {
    write: WriteValue,
    /// The share of rows that have the property at all, in permille: an annotation of a null value is not sent.
    present: u64,
}

/// Everything that a value may depend on.
pub(crate) struct ValueContext<'a> {
    pub(crate) table: &'static Table,
    pub(crate) identity: Identity,
    pub(crate) people: &'a People,
    pub(crate) links: &'a RowLinks,
    pub(crate) facts: &'a RowFacts,
}

/// The salt for whether a row belongs to another one: a lookup and its annotation must agree.
const REGARDING: u64 = 16;

impl ColumnRule {
    /// For a column that the definition does not know: null unless a scenario sets it.
    pub(crate) const NULL: Self = Self { write: |_, out, _| null(out), present: 1_000 };

    /// The rule of a column: by name if its meaning is known, otherwise by type.
    pub(crate) fn for_column(table: &Table, column: &Column) -> Self {
        let activity = table.key.first() == Some(&"activityid");
        let write: WriteValue = match column.name {
            "partitionid" => |row, out, _| {
                out.push(b'"');
                row.facts.partition(out);
                out.push(b'"');
            },
            name if table.key.first() == Some(&name) => |row, out, _| row.id(out),
            "createdon" | "actualstart" | "sortdate" => |row, out, _| instant(out, row.facts.created),
            "modifiedon" | "actualend" => |row, out, _| instant(out, row.facts.modified),
            "msdyn_clienttimestamp" => |row, out, _| instant(out, row.facts.client),
            // Migrated rows are rare: they keep their original day and name their import.
            "overriddencreatedon" => |row, out, _| {
                let day_before = row.facts.created - row.facts.created.rem_euclid(86_400) - 86_400;
                if row.rarely(11, 4) { instant(out, day_before) } else { null(out) }
            },
            "importsequencenumber" => |row, out, _| {
                optional(out, row.rarely(11, 4).then(|| 1 + (row.facts.seed % 9) as i64), number);
            },
            "versionnumber" => |row, out, _| number(out, row.facts.version),
            "statecode" | "statuscode" => |row, out, column| number(out, i64::from(row.state(column))),
            "msdyn_scenariotype" => |row, out, _| number(out, i64::from(row.facts.scenario)),
            "msdyn_interactiontype" => |row, out, _| number(out, i64::from(row.facts.kind)),
            "msdyn_aiagent" => |row, out, _| optional(out, row.facts.agent().map(i64::from), number),
            "msdyn_scenariorequestid" => |row, out, _| {
                optional(out, Some(row.facts.request).filter(|request| *request != 0), quoted_guid);
            },
            "createdby" | "modifiedby" => |row, out, _| quote(out, row.person().id.as_bytes()),
            "ownerid" => |row, out, _| {
                let person = row.person();
                quote(out, if row.team_owns() { person.team.as_bytes() } else { person.id.as_bytes() });
            },
            "owninguser" => |row, out, _| {
                optional(out, (!row.team_owns()).then(|| row.person().id.as_bytes()), quote);
            },
            "owningteam" => |row, out, _| optional(out, row.team_owns().then(|| row.person().team.as_bytes()), quote),
            "owningbusinessunit" => |row, out, _| quote(out, row.person().unit.as_bytes()),
            "createdonbehalfby" | "modifiedonbehalfby" => |row, out, _| {
                optional(out, row.rarely(12, 5).then_some(row.people.service.id.as_bytes()), quote);
            },
            "organizationid" => |_, out, _| quote(out, ORGANIZATION_ID.as_bytes()),
            "msdyn_interactionforlogicalname" | "msdyn_transcriptforlogicalname" => {
                |row, out, _| quote(out, row.facts.for_table().as_bytes())
            }
            "msdyn_interactionforid" | "msdyn_transcriptforid" => |row, out, _| match row.facts.for_table() {
                "systemuser" => quote(out, row.person().id.as_bytes()),
                _ => quoted_guid(out, row.facts.subject()),
            },
            "msdyn_conversationid" => |row, out, _| quoted_guid(out, row.facts.subject()),
            // The lookup from an older interaction to its content.
            "msdyn_interactiondataid" => |row, out, _| {
                let exists = row.links.contents.contains(&row.facts.seed);
                optional(out, exists.then(|| Identity::Content.seed(row.facts)), quoted_guid);
            },
            // The lookup from messages to their chat.
            "msdyn_copilottranscriptid" => |row, out, _| {
                let exists = row.links.transcripts.contains(&row.facts.session);
                optional(out, exists.then(|| Identity::Transcript.seed(row.facts)), quoted_guid);
            },
            // The row that a chat belongs to, or the meeting that an insight is about, and the table of it.
            "regardingobjectid" => |row, out, _| row.regarding_id(out, CHATS_REGARDING),
            "msdyn_conversationinsighttarget" => |row, out, _| row.regarding_id(out, INSIGHTS_REGARDING),
            "regardingobjectid_table" | "msdyn_conversationinsighttarget_table" => {
                |row, out, _| quote(out, row.regarding_table().as_bytes())
            }
            "ttlinseconds" => |row, out, _| optional(out, row.rarely(13, 10).then_some(63_072_000), number),
            "utcconversiontimezonecode" => |row, out, _| {
                optional(out, row.facts.seed.is_multiple_of(2).then_some(190), number);
            },
            "timezoneruleversionnumber" => |row, out, _| {
                optional(out, row.facts.seed.is_multiple_of(2).then_some(0), number);
            },
            "msdyn_name" => |row, out, _| optional(out, row.rarely(14, 8).then_some("Copilot event"), string),
            "msdyn_verbatim" => |row, out, _| optional(out, verbatim(row.facts, row.people), string),
            "msdyn_interactioncontext" => |row, out, _| string(out, &context(row.facts, row.links.chat(row.facts))),
            "msdyn_additionalcontext" | "activityadditionalparams" | "msdyn_copilotsummaryrequestcontext" => {
                |row, out, column| match row.rarely(hash(column.name.as_bytes()), 500) {
                    true => string(out, &prose::parameters(row.facts)),
                    false => null(out),
                }
            }
            "msdyn_copilotsummary" => |row, out, _| match row.rarely(17, 900) {
                true => string(out, &prose::summary(row.facts, row.language())),
                false => null(out),
            },
            "msdyn_summary" | "description" => |row, out, _| match row.rarely(18, 100) {
                true => string(out, &DATAVERSE.sentences.passage(&mut row.facts.random(19), row.language(), 200)),
                false => null(out),
            },
            "activitytypecode" => |row, out, _| quote(out, row.table.name.as_bytes()),
            "subject" => |row, out, _| string(out, prose::question(row.facts, row.language())),
            "msdyn_copilotmode" => |row, out, _| {
                string(out, row.facts.random(20).weighted(&[("conversation", 8), ("standalone", 2)]));
            },
            "msdyn_copilotskill" => |row, out, _| {
                optional(out, row.rarely(22, 700).then_some("ask_a_question"), string);
            },
            "entra_object_id" => |row, out, _| optional(out, row.user().map(|user| user.object.as_str()), string),
            "full_name" => |row, out, _| optional(out, row.user().map(|user| user.name.as_str()), string),
            "title" => |row, out, _| optional(out, row.user().and_then(|user| user.title), string),
            "business_unit_id" => |row, out, _| optional(out, row.user().map(|user| user.unit.as_str()), string),
            "business_unit" => |row, out, _| {
                let name = row.user().map(|user| row.people.name(&user.unit).unwrap_or_default());
                optional(out, name, string);
            },
            "is_disabled" => |row, out, _| optional(out, row.user().map(|user| user.disabled), boolean),
            name if name.strip_suffix("_name").is_some_and(|file| table.files().any(|column| column.name == file)) => {
                |row, out, column| {
                    let file = column.name.strip_suffix("_name").unwrap_or(column.name);
                    let name = file.strip_prefix("msdyn_").unwrap_or(file);
                    let extension = if name == "interactiondata" { "txt" } else { "json" };
                    // The same salt gives the same decision for the File and its name.
                    match has_file(row.facts, file) {
                        true => string(out, &format!("{name}.{extension}")),
                        false => null(out),
                    }
                }
            }
            _ if matches!(column.ty, Type::File) => |row, out, column| {
                let file = has_file(row.facts, column.name).then(|| file_seed(row.facts, column.name));
                optional(out, file, quoted_guid);
            },
            // Most columns of activities are for other kinds of them.
            _ if activity && !matches!(column.ty, Type::Boolean | Type::Choice(_)) => {
                |row, out, column| match row.rarely(mix(hash(column.name.as_bytes()), 23), 40) {
                    true => row.typed(out, column),
                    false => null(out),
                }
            }
            _ => |row, out, column| row.typed(out, column),
        };
        let present = match column.name {
            "regardingobjectid_table" => CHATS_REGARDING,
            "msdyn_conversationinsighttarget_table" => INSIGHTS_REGARDING,
            _ => 1_000,
        };
        Self { write, present }
    }

    /// Whether a row lacks the property altogether.
    pub(crate) fn is_absent(self, facts: &RowFacts) -> bool {
        self.present < 1_000 && !facts.random(REGARDING).chance(self.present)
    }

    /// Appends the value in one row.
    pub(crate) fn write(self, row: &ValueContext<'_>, out: &mut Vec<u8>, column: &Column) {
        (self.write)(row, out, column);
    }
}

/// How many chats belong to a row, and how many insights are about a meeting, in permille.
const CHATS_REGARDING: u64 = 600;
const INSIGHTS_REGARDING: u64 = 80;

/// Appends a value, or null where there is none.
fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => null(out),
    }
}

impl<'a> ValueContext<'a> {
    fn person(&self) -> &'a Representative {
        if self.facts.agent().is_some() { &self.people.service } else { self.people.get(self.facts.person) }
    }

    /// The person whose row this is, in the table of people.
    fn user(&self) -> Option<&'a Representative> {
        self.people.user(self.facts.person)
    }

    /// The language in which the person writes, even where an agent made the row.
    fn language(&self) -> Language {
        self.people.get(self.facts.person).language
    }

    const fn team_owns(&self) -> bool {
        self.facts.session.is_multiple_of(29)
    }

    fn rarely(&self, salt: u64, permille: u64) -> bool {
        self.facts.random(salt).chance(permille)
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

    fn regarding_id(&self, out: &mut Vec<u8>, permille: u64) {
        optional(out, self.rarely(REGARDING, permille).then(|| mix(self.facts.session, 6)), quoted_guid);
    }

    /// The table of the row that a chat or an insight belongs to.
    fn regarding_table(&self) -> &'static str {
        let chats: &[(&str, u32)] = &[("incident", 8), ("account", 1), ("contact", 1)];
        let insights: &[(&str, u32)] = &[("phonecall", 3), ("appointment", 1)];
        let of = if self.identity == Identity::Insight { insights } else { chats };
        self.facts.random(25).weighted(of)
    }

    /// A meaningless value of the column's type.
    fn typed(&self, out: &mut Vec<u8>, column: &Column) {
        let Self { facts, people, .. } = *self;
        let mut random = facts.random(hash(column.name.as_bytes()));
        match column.ty {
            _ if !column.required && random.chance(100) => null(out),
            Type::Guid | Type::File => quoted_guid(out, random.next()),
            Type::Text => string(out, DATAVERSE.sentences.pick(&mut random, people.get(facts.person).language)),
            Type::Choice(set) => number(out, i64::from(random.pick(set.options).0)),
            Type::Lookup(["systemuser", ..]) => quote(out, people.get(random.below(1 << 16) as u16).id.as_bytes()),
            Type::Lookup(_) => quoted_guid(out, mix(facts.session, 5)),
            // No table of Dataverse has columns of days.
            Type::Instant | Type::Date => instant(out, facts.created),
            Type::Int32 | Type::Int64 => number(out, random.below(1_000) as i64),
            Type::Decimal => {
                number(out, random.below(1_000) as i64);
                out.extend_from_slice(b".25");
            }
            Type::Boolean => boolean(out, random.chance(500)),
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
    wrote.then(|| DATAVERSE.comments.pick(&mut random, people.get(facts.person).language))
}
