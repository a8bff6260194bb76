//! Routes of the Web API.

use copilot_lake_tables::Table;

use crate::emulated_tables::tables;
use crate::http::odata::{KeyParts, decode, parse_key};
use crate::http::request_kind::RequestKind;

/// The resource of a request to the Web API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataverseRoute {
    WhoAmI,
    Organizations,
    /// Tables and their columns.
    Definitions,
    /// The choice columns of a table that are of a kind.
    Choices {
        table: String,
        kind: String,
    },
    /// The privileges of a user.
    Privileges(String),
    /// The numbers of rows of several tables.
    TotalCount,
    Page(&'static str),
    /// The bytes of a File.
    File {
        table: &'static str,
        key: KeyParts,
        column: String,
        form: FileForm,
    },
    Batch,
    /// A table or a function that does not exist.
    Missing(String),
    /// A path outside the Web API.
    Elsewhere,
    /// A path that the emulator does not answer.
    Unsupported(String),
}

/// How a File is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileForm {
    /// As its bytes: `/$value`.
    Bytes,
    /// As the base64 of its bytes in a JSON object, whose context names this row.
    Json { row: String },
}

impl DataverseRoute {
    /// Parses the segments of a path behind `/api/data/v9.2/`, as they were sent.
    pub(crate) fn parse(parts: &[&str]) -> Self {
        let parts: Vec<_> = parts.iter().map(|part| decode(part)).collect();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        let unsupported = || Self::Unsupported(parts.join("/"));
        match parts.as_slice() {
            ["WhoAmI"] => Self::WhoAmI,
            ["$batch"] => Self::Batch,
            ["organizations"] => Self::Organizations,
            ["EntityDefinitions"] => Self::Definitions,
            [table, "Attributes", cast] if table.starts_with("EntityDefinitions(") => {
                match (logical_name(table), cast.strip_prefix("Microsoft.Dynamics.CRM.")) {
                    (Some(table), Some(kind)) => Self::Choices { table, kind: kind.to_owned() },
                    _ => unsupported(),
                }
            }
            ["RetrieveTotalRecordCount(EntityNames=@p1)"] => Self::TotalCount,
            [set] if !set.contains('(') => match table_of_set(set) {
                Some(table) => Self::Page(table.name),
                None => Self::Missing((*set).to_owned()),
            },
            [row, rest @ ..] => {
                let keyed = row.split_once('(').and_then(|(set, key)| Some((set, parse_key(key.strip_suffix(')')?)?)));
                let keyed = keyed.filter(|(set, key)| *set != "EntityDefinitions" && !key.is_empty());
                let Some((set, key)) = keyed else { return unsupported() };
                match (table_of_set(set), rest) {
                    (None, _) => Self::Missing(set.to_owned()),
                    (Some(_), ["Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"]) => {
                        Self::Privileges(key.into_iter().next().map(|(_, id)| id).unwrap_or_default())
                    }
                    (Some(table), [column, "$value"]) => {
                        Self::File { table: table.name, key, column: (*column).to_owned(), form: FileForm::Bytes }
                    }
                    (Some(table), [column]) => {
                        let form = FileForm::Json { row: (*row).to_owned() };
                        Self::File { table: table.name, key, column: (*column).to_owned(), form }
                    }
                    _ => unsupported(),
                }
            }
            [] => unsupported(),
        }
    }

    pub(crate) const fn kind(&self) -> RequestKind {
        match self {
            Self::Definitions | Self::Choices { .. } | Self::Organizations => RequestKind::Metadata,
            Self::Privileges(_) => RequestKind::Privileges,
            Self::WhoAmI => RequestKind::WhoAmI,
            Self::Page(_) => RequestKind::Page,
            Self::TotalCount => RequestKind::Count,
            Self::File { .. } => RequestKind::File,
            Self::Batch => RequestKind::Batch,
            Self::Missing(_) | Self::Elsewhere | Self::Unsupported(_) => RequestKind::Other,
        }
    }

    /// The table of the request.
    pub(crate) const fn table(&self) -> Option<&'static str> {
        match self {
            Self::Page(table) | Self::File { table, .. } => Some(table),
            _ => None,
        }
    }
}

/// The name in `EntityDefinitions(LogicalName='t')`.
fn logical_name(part: &str) -> Option<String> {
    let key = part.split_once('(')?.1.strip_suffix(')')?;
    match parse_key(key)?.as_slice() {
        [(Some(name), table)] if name == "LogicalName" => Some(table.clone()),
        _ => None,
    }
}

fn table_of_set(set: &str) -> Option<&'static Table> {
    tables().find(|table| table.entity_set() == Some(set))
}
