//! Turns the facts of a row into the JSON that the service sends, by the table's definition.

use std::collections::BTreeMap;

use copilot_lake_tables::{Column, Table, Type};

use crate::context::context;
use crate::dates::Dates;
use crate::people::People;
use crate::random::{guid, hash, mix};
use crate::row::{AVAILABLE, Facts, GENERATED, ID, THUMBS_DOWN, THUMBS_UP};
use crate::text;

/// How rows of a table are written: a property for every column, in the service's own order.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) table: &'static Table,
    pub(crate) people: People,
    properties: Vec<(Vec<u8>, &'static Column, Value)>,
    dates: Dates,
}

/// What decides a value: the columns that rows of all tables share, the made-up content of some, else the type.
#[derive(Debug, Clone, Copy)]
enum Value {
    Id,
    Partition,
    Created,
    Modified,
    Client,
    Overridden,
    Version,
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
    ForTable,
    ForId,
    TimeToLive,
    Import,
    File,
    FileName,
    Name,
    Verbatim,
    Context,
    Typed,
}

/// Values that a scenario sets: raw JSON by wire name; `None` leaves the property out.
pub(crate) type Overrides = BTreeMap<String, Option<String>>;

impl Renderer {
    /// A renderer that leaves out the columns (by lake or wire name) in `without`.
    pub(crate) fn new(table: &'static Table, people: People, without: &[String]) -> Self {
        let known = |column: &&Column| !without.iter().any(|name| name == column.name || name == column.wire);
        let mut columns: Vec<_> = table.columns.iter().filter(known).collect();
        // The service sends properties in an order of its own: neither the definition's nor the request's.
        columns.sort_by_key(|column| hash(column.wire.as_bytes()));
        let properties = columns
            .into_iter()
            .map(|column| (format!(",\"{}\":", column.wire).into_bytes(), column, Value::of(table, column)));
        Self { table, people, properties: properties.collect(), dates: Dates::default() }
    }

    /// A renderer of the same rows for another thread.
    pub(crate) fn fork(&self, people: People) -> Self {
        let properties = self.properties.clone();
        Self { table: self.table, people, properties, dates: Dates::default() }
    }

    /// Appends the row as a JSON object; says how many Files it names.
    pub(crate) fn render(&mut self, out: &mut Vec<u8>, facts: &Facts) -> u8 {
        out.extend_from_slice(b"{\"@odata.etag\":\"W/\\\"");
        number(out, facts.version);
        out.extend_from_slice(b"\\\"\"");
        let mut files = 0;
        for (prefix, column, value) in &self.properties {
            out.extend_from_slice(prefix);
            files += u8::from(write(out, &mut self.dates, &self.people, facts, column, *value));
        }
        out.push(b'}');
        files
    }

    /// The number of the key of a rendered row.
    pub(crate) fn key(&mut self, facts: &Facts) -> u64 {
        let mut text = Vec::with_capacity(80);
        for name in self.table.key {
            match *name {
                "partitionid" => self.dates.partition(&mut text, facts.created, facts.scenario),
                _ => guid(&mut text, mix(facts.seed, ID)),
            }
            text.push(b'/');
        }
        hash(&text)
    }

    /// The row with some values set by a scenario, and with its additional properties.
    pub(crate) fn render_with(&mut self, facts: &Facts, overrides: &Overrides) -> Vec<u8> {
        let mut out = Vec::new();
        let etag = overrides.get("@odata.etag").cloned();
        let etag = etag.unwrap_or_else(|| Some(format!("\"W/\\\"{}\\\"\"", facts.version)));
        out.push(b'{');
        if let Some(etag) = etag {
            out.extend_from_slice(b",\"@odata.etag\":");
            out.extend_from_slice(etag.as_bytes());
        }
        for (prefix, column, value) in &self.properties {
            match overrides.get(column.wire) {
                None => {
                    out.extend_from_slice(prefix);
                    write(&mut out, &mut self.dates, &self.people, facts, column, *value);
                }
                Some(Some(json)) => {
                    out.extend_from_slice(prefix);
                    out.extend_from_slice(json.as_bytes());
                }
                Some(None) => {}
            }
        }
        for (name, json) in overrides {
            let known = name == "@odata.etag" || self.properties.iter().any(|property| property.1.wire == name);
            if let (false, Some(json)) = (known, json) {
                out.push(b',');
                string(&mut out, name);
                out.push(b':');
                out.extend_from_slice(json.as_bytes());
            }
        }
        out.push(b'}');
        if out.get(1) == Some(&b',') {
            out.remove(1);
        }
        out
    }
}

impl Value {
    fn of(table: &Table, column: &Column) -> Self {
        match column.name {
            "partitionid" => Self::Partition,
            name if table.key.first() == Some(&name) => Self::Id,
            "createdon" => Self::Created,
            "modifiedon" => Self::Modified,
            "msdyn_clienttimestamp" => Self::Client,
            "overriddencreatedon" => Self::Overridden,
            "versionnumber" => Self::Version,
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
            "msdyn_interactionforlogicalname" => Self::ForTable,
            "msdyn_interactionforid" => Self::ForId,
            "ttlinseconds" => Self::TimeToLive,
            "importsequencenumber" => Self::Import,
            "msdyn_name" => Self::Name,
            "msdyn_verbatim" => Self::Verbatim,
            "msdyn_interactioncontext" => Self::Context,
            name if name.strip_suffix("_name").is_some_and(|file| table.files().any(|column| column.name == file)) => {
                Self::FileName
            }
            _ if matches!(column.ty, Type::File) => Self::File,
            _ => Self::Typed,
        }
    }
}

/// Writes one value; says whether it is the id of a File.
fn write(out: &mut Vec<u8>, dates: &mut Dates, people: &People, facts: &Facts, column: &Column, value: Value) -> bool {
    let person = if facts.agent().is_some() { &people.service } else { people.get(facts.person) };
    let team_owns = facts.session.is_multiple_of(29);
    let rarely = |salt: u64, permille: u64| facts.random(salt).chance(permille);
    match value {
        Value::Id => quoted_guid(out, mix(facts.seed, ID)),
        Value::Partition => {
            out.push(b'"');
            dates.partition(out, facts.created, facts.scenario);
            out.push(b'"');
        }
        Value::Created => instant(out, dates, facts.created),
        Value::Modified => instant(out, dates, facts.modified),
        Value::Client => instant(out, dates, facts.client),
        // Migrated rows are rare: they keep their original day and name their import.
        Value::Overridden if rarely(11, 4) => {
            instant(out, dates, facts.created - facts.created.rem_euclid(86_400) - 86_400);
        }
        Value::Import if rarely(11, 4) => number(out, 1 + (facts.seed % 9) as i64),
        Value::Version => number(out, facts.version),
        Value::Scenario => number(out, i64::from(facts.scenario)),
        Value::Kind => number(out, i64::from(facts.kind)),
        Value::Agent => match facts.agent() {
            Some(agent) => number(out, i64::from(agent)),
            None => null(out),
        },
        Value::Request if facts.request != 0 => quoted_guid(out, facts.request),
        Value::Creator => quote(out, person.id.as_bytes()),
        Value::Owner => quote(out, if team_owns { person.team.as_bytes() } else { person.id.as_bytes() }),
        Value::OwningUser if !team_owns => quote(out, person.id.as_bytes()),
        Value::OwningTeam if team_owns => quote(out, person.team.as_bytes()),
        Value::OwningUnit => quote(out, person.unit.as_bytes()),
        Value::Delegate if rarely(12, 5) => quote(out, people.service.id.as_bytes()),
        Value::ForTable => quote(out, for_table(facts).as_bytes()),
        Value::ForId if for_table(facts) == "systemuser" => quote(out, person.id.as_bytes()),
        Value::ForId => quoted_guid(out, mix(facts.session, 4)),
        Value::TimeToLive if rarely(13, 10) => number(out, 63_072_000),
        Value::File if has_file(facts, column) => {
            quoted_guid(out, mix(facts.seed, hash(column.name.as_bytes())));
            return true;
        }
        Value::FileName => {
            let file = column.name.strip_suffix("_name").unwrap_or(column.name);
            // Both columns ask the same question of the same salt.
            if has_file_named(facts, file) {
                let name = file.strip_prefix("msdyn_").unwrap_or(file);
                quote(out, format!("{name}.txt").as_bytes());
            } else {
                null(out);
            }
        }
        Value::Name if rarely(14, 8) => string(out, "Copilot event"),
        Value::Verbatim => match verbatim(facts, people) {
            Some(text) => string(out, text),
            None => null(out),
        },
        Value::Context => {
            out.push(b'"');
            for c in context(facts).bytes() {
                if c == b'"' {
                    out.push(b'\\');
                }
                out.push(c);
            }
            out.push(b'"');
        }
        Value::Typed => typed(out, dates, people, facts, column),
        Value::Overridden
        | Value::Import
        | Value::Request
        | Value::OwningUser
        | Value::OwningTeam
        | Value::Delegate
        | Value::TimeToLive
        | Value::File
        | Value::Name => null(out),
    }
    false
}

/// A value that means nothing, of the column's type.
fn typed(out: &mut Vec<u8>, dates: &mut Dates, people: &People, facts: &Facts, column: &Column) {
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

fn for_table(facts: &Facts) -> &'static str {
    match facts.scenario {
        _ if facts.kind == AVAILABLE && facts.seed.is_multiple_of(3) => "systemuser",
        100_230_209 => "account",
        100_230_201 | 100_230_202 | 100_230_206 | 100_230_213 | 100_230_216 => "msdyn_ocliveworkitem",
        _ => "incident",
    }
}

fn has_file(facts: &Facts, column: &Column) -> bool {
    has_file_named(facts, column.name)
}

fn has_file_named(facts: &Facts, column: &str) -> bool {
    facts.kind == GENERATED && facts.random(hash(column.as_bytes())).chance(930)
}

/// What the representative wrote: with a third of thumbs-down, seldom with a thumbs-up.
fn verbatim(facts: &Facts, people: &People) -> Option<&'static str> {
    let mut random = facts.random(15);
    let wrote = match facts.kind {
        THUMBS_DOWN => random.chance(380),
        THUMBS_UP => random.chance(40),
        _ => false,
    };
    wrote.then(|| text::verbatim(&mut random, people.get(facts.person).language))
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

fn quote(out: &mut Vec<u8>, plain: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(plain);
    out.push(b'"');
}

fn quoted_guid(out: &mut Vec<u8>, seed: u64) {
    out.push(b'"');
    guid(out, seed);
    out.push(b'"');
}

/// Any text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

fn instant(out: &mut Vec<u8>, dates: &mut Dates, seconds: i64) {
    out.push(b'"');
    dates.instant(out, seconds);
    out.push(b'"');
}
