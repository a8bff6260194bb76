//! Paths: what a request asks for.

use copilot_lake_tables::Table;

use crate::graph::route::GraphCall;
use crate::http::managed_identity::Host;
use crate::scenario::definition::tables;

/// The kind of a request, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A token was asked for.
    Token,
    /// `WhoAmI`.
    WhoAmI,
    /// A page of a table.
    Page,
    /// A page of a read that tracks changes.
    Tracking,
    /// One row.
    Row,
    /// The number of rows of a table, or of several.
    Count,
    /// What tables and columns there are.
    Metadata,
    /// What the application user may read.
    Privileges,
    /// The bytes of a File, or another single property.
    File,
    /// A page of a user's interactions, of Microsoft Graph.
    History,
    /// A page of users.
    Users,
    /// One user.
    User,
    /// A page of a group's members.
    Members,
    /// A page of users who were deleted.
    Deleted,
    /// The emulator's own paths.
    Own,
    /// Everything else.
    Other,
}

impl Kind {
    /// Whether it is a kind of Microsoft Graph.
    pub(crate) const fn is_of_graph(self) -> bool {
        matches!(self, Self::History | Self::Users | Self::User | Self::Members | Self::Deleted)
    }

    /// The name in `/_emulator/served`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::WhoAmI => "whoami",
            Self::Page => "page",
            Self::Row => "row",
            Self::Tracking => "tracking",
            Self::Count => "count",
            Self::Metadata => "metadata",
            Self::Privileges => "privileges",
            Self::File => "file",
            Self::History => "history",
            Self::Users => "users",
            Self::User => "user",
            Self::Members => "members",
            Self::Deleted => "deleted",
            Self::Own => "own",
            Self::Other => "other",
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Token {
        tenant: String,
    },
    /// The token of a managed identity.
    Managed(Host),
    Root,
    WhoAmI,
    /// A question about tables and columns: the path's parts, decoded.
    Metadata(Vec<String>),
    /// The organization.
    Organizations,
    /// The privileges of a user.
    Privileges(String),
    /// The numbers of rows of several tables.
    TotalCount(String),
    Page(&'static str),
    Count(&'static str),
    Row(&'static str, Key),
    Property {
        table: &'static str,
        key: Key,
        name: String,
        value: bool,
    },
    /// A table or a function that is not there.
    Unknown(String),
    Served,
    Requests,
    Rows(String),
    Advance,
    Graph(GraphCall),
    GraphInteractions,
    GraphUsers,
    Other,
}

/// The key in a row's address: parts by name, in the order of the address. One without a name is the primary key.
pub(crate) type Key = Vec<(Option<String>, String)>;

impl Route {
    /// Reads a path as it was sent.
    pub(crate) fn of(path: &str) -> Self {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["_emulator", "served"] => Self::Served,
            ["_emulator", "requests"] => Self::Requests,
            ["_emulator", "advance"] => Self::Advance,
            ["_emulator", "graph", "interactions"] => Self::GraphInteractions,
            ["_emulator", "graph", "users"] => Self::GraphUsers,
            ["_emulator", "rows", table] => Self::Rows((*table).to_owned()),
            [tenant, "oauth2", "v2.0", "token"] => Self::Token { tenant: (*tenant).to_owned() },
            ["metadata", "identity", "oauth2", "token"] => Self::Managed(Host::Machine),
            ["msi", "token"] => Self::Managed(Host::AppService),
            ["api", "data", "v9.0" | "v9.1" | "v9.2", rest @ ..] => Self::of_data(rest),
            parts => GraphCall::of(parts).map_or(Self::Other, Self::Graph),
        }
    }

    fn of_data(parts: &[&str]) -> Self {
        let Some((first, rest)) = parts.split_first() else { return Self::Root };
        let first = decode(first);
        if first == "EntityDefinitions" || first.starts_with("EntityDefinitions(") {
            return Self::Metadata(parts.iter().map(|part| decode(part)).collect());
        }
        if first.starts_with("RetrieveTotalRecordCount(") {
            return Self::TotalCount(first);
        }
        let (name, key) = match first.split_once('(') {
            Some((name, key)) => (name.to_owned(), key.strip_suffix(')').and_then(parse_key)),
            None => (first.clone(), Some(Vec::new())),
        };
        let Some(key) = key else { return Self::Unknown(first) };
        let Some(table) = table_of_set(&name).map(|table| table.name) else {
            return match first.as_str() {
                "" => Self::Root,
                "WhoAmI" | "WhoAmI()" => Self::WhoAmI,
                "organizations" => Self::Organizations,
                _ => Self::Unknown(name),
            };
        };
        let keyed = first.contains('(') && !key.is_empty();
        match rest {
            [] | [""] if keyed => Self::Row(table, key),
            [] | [""] => Self::Page(table),
            [function] if keyed && decode(function) == "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()" => {
                Self::Privileges(key.into_iter().next().map(|(_, id)| id).unwrap_or_default())
            }
            ["$count"] if !keyed => Self::Count(table),
            [name] if keyed => Self::Property { table, key, name: decode(name), value: false },
            [name, "$value"] if keyed => Self::Property { table, key, name: decode(name), value: true },
            _ => Self::Unknown(parts.join("/")),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } | Self::Managed(_) => Kind::Token,
            Self::Metadata(_) | Self::Organizations => Kind::Metadata,
            Self::Privileges(_) => Kind::Privileges,
            Self::WhoAmI => Kind::WhoAmI,
            Self::Page(_) => Kind::Page,
            Self::Count(_) | Self::TotalCount(_) => Kind::Count,
            Self::Row(..) => Kind::Row,
            Self::Property { .. } => Kind::File,
            Self::Graph(call) => call.kind(),
            Self::Served
            | Self::Requests
            | Self::Rows(_)
            | Self::Advance
            | Self::GraphInteractions
            | Self::GraphUsers => Kind::Own,
            Self::Root | Self::Unknown(_) | Self::Other => Kind::Other,
        }
    }

    /// The table that it is about.
    pub(crate) const fn table(&self) -> Option<&'static str> {
        match self {
            Self::Page(table) | Self::Count(table) | Self::Row(table, _) | Self::Property { table, .. } => Some(table),
            _ => None,
        }
    }
}

fn table_of_set(set: &str) -> Option<&'static Table> {
    tables().find(|table| table.entity_set() == Some(set))
}

/// Reads `a=<guid>,b='text'` or a bare guid.
pub(crate) fn parse_key(text: &str) -> Option<Key> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = match rest.split_once('=') {
            Some((name, after)) if !name.contains(['\'', ',']) => (Some(name.trim().to_owned()), after),
            _ => (None, rest),
        };
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        parts.push((name, value));
        rest = match after.strip_prefix(',') {
            Some(more) if !more.is_empty() => more,
            None if after.is_empty() => after,
            _ => return None,
        };
    }
    Some(parts)
}

/// Reads up to the closing quote; `''` is a quote.
pub(crate) fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, rest)),
        }
    }
}

/// Percent-decoded; `+` stays. What is not an escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = text.get(text.len() - after.len()..).and_then(|after| after.get(..2));
        match escape.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
