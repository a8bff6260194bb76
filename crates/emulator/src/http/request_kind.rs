//! The kind of a request, by which requests are counted and faults are chosen.

use serde::Deserialize;

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequestKind {
    /// For a token.
    Token,
    /// `WhoAmI`.
    WhoAmI,
    /// A page of a table.
    Page,
    /// A page of a read that tracks changes.
    Tracking,
    /// The numbers of rows of tables.
    Count,
    /// Which tables and columns there are.
    Metadata,
    /// What the application user may read.
    Privileges,
    /// The bytes of a File.
    File,
    /// Several requests in one.
    Batch,
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
    /// Everything else; faults cannot choose it.
    #[serde(skip)]
    Other,
}

impl RequestKind {
    /// Whether it is a kind of Microsoft Graph.
    pub(crate) const fn is_of_graph(self) -> bool {
        matches!(self, Self::History | Self::Users | Self::User | Self::Members | Self::Deleted)
    }

    /// Whether its responses are pages, which links lead to.
    pub(crate) const fn is_of_pages(self) -> bool {
        matches!(self, Self::Page | Self::Tracking | Self::History | Self::Users | Self::Members | Self::Deleted)
    }

    /// The name in counters and in scenarios.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::WhoAmI => "whoami",
            Self::Page => "page",
            Self::Tracking => "tracking",
            Self::Count => "count",
            Self::Metadata => "metadata",
            Self::Privileges => "privileges",
            Self::File => "file",
            Self::Batch => "batch",
            Self::History => "history",
            Self::Users => "users",
            Self::User => "user",
            Self::Members => "members",
            Self::Deleted => "deleted",
            Self::Other => "other",
        }
    }
}
