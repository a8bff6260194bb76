//! Paths of Microsoft Graph.

use crate::http::odata::decode;
use crate::http::request_kind::RequestKind;

/// A call of Microsoft Graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphRoute {
    /// `v1.0` or `beta`.
    pub(crate) version: &'static str,
    pub(crate) what: What,
}

/// What a call asks for; people are named by object id or principal name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Users,
    User(String),
    Members(String),
    Deleted,
    History(String),
    Unknown(String),
}

impl GraphRoute {
    /// Reads the parts of a path; letters have no case. `None`: it is none of Graph.
    pub(crate) fn parse(parts: &[&str]) -> Option<Self> {
        let (version, rest) = parts.split_first()?;
        let version = ["v1.0", "beta"].into_iter().find(|known| known.eq_ignore_ascii_case(version))?;
        let parts: Vec<_> = rest.iter().map(|part| decode(part)).collect();
        let lower: Vec<_> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let lower: Vec<_> = lower.iter().map(String::as_str).collect();
        let what = match lower.as_slice() {
            ["users"] => What::Users,
            ["users", _] => What::User(parts[1].clone()),
            ["groups", _, "transitivemembers", "microsoft.graph.user"] => What::Members(parts[1].clone()),
            ["directory", "deleteditems", "microsoft.graph.user"] => What::Deleted,
            [
                "copilot",
                "users",
                _,
                "interactionhistory",
                "getallenterpriseinteractions" | "getallenterpriseinteractions()",
            ] => What::History(parts[2].clone()),
            _ => What::Unknown(parts.last().cloned().unwrap_or_default()),
        };
        Some(Self { version, what })
    }

    pub(crate) const fn kind(&self) -> RequestKind {
        match self.what {
            What::Users => RequestKind::Users,
            What::User(_) => RequestKind::User,
            What::Members(_) => RequestKind::Members,
            What::Deleted => RequestKind::Deleted,
            What::History(_) => RequestKind::History,
            What::Unknown(_) => RequestKind::Other,
        }
    }

    /// Whom it is about.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.what {
            What::User(name) | What::History(name) => Some(name),
            _ => None,
        }
    }
}
