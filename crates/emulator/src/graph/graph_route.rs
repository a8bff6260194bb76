//! Routes of Microsoft Graph.

use crate::http::odata::decode;
use crate::http::request_kind::RequestKind;

/// A request to Microsoft Graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphRoute {
    /// `v1.0` or `beta`.
    pub(crate) version: &'static str,
    pub(crate) resource: GraphResource,
}

/// The resource of a request; users are named by object id or principal name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GraphResource {
    Users,
    User(String),
    Members(String),
    Deleted,
    History(String),
    Unknown(String),
}

impl GraphRoute {
    /// Parses the segments of a path, ignoring case; `None` for a path outside Graph.
    pub(crate) fn parse(parts: &[&str]) -> Option<Self> {
        let (version, rest) = parts.split_first()?;
        let version = ["v1.0", "beta"].into_iter().find(|known| known.eq_ignore_ascii_case(version))?;
        let parts: Vec<_> = rest.iter().map(|part| decode(part)).collect();
        let lower: Vec<_> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let lower: Vec<_> = lower.iter().map(String::as_str).collect();
        let resource = match lower.as_slice() {
            ["users"] => GraphResource::Users,
            ["users", _] => GraphResource::User(parts[1].clone()),
            ["groups", _, "transitivemembers", "microsoft.graph.user"] => GraphResource::Members(parts[1].clone()),
            ["directory", "deleteditems", "microsoft.graph.user"] => GraphResource::Deleted,
            [
                "copilot",
                "users",
                _,
                "interactionhistory",
                "getallenterpriseinteractions" | "getallenterpriseinteractions()",
            ] => GraphResource::History(parts[2].clone()),
            _ => GraphResource::Unknown(parts.last().cloned().unwrap_or_default()),
        };
        Some(Self { version, resource })
    }

    pub(crate) const fn kind(&self) -> RequestKind {
        match self.resource {
            GraphResource::Users => RequestKind::Users,
            GraphResource::User(_) => RequestKind::User,
            GraphResource::Members(_) => RequestKind::Members,
            GraphResource::Deleted => RequestKind::Deleted,
            GraphResource::History(_) => RequestKind::History,
            GraphResource::Unknown(_) => RequestKind::Other,
        }
    }

    /// The user that it is about.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.resource {
            GraphResource::User(name) | GraphResource::History(name) => Some(name),
            _ => None,
        }
    }
}
