//! The application permissions that are needed.
//!
//! <https://learn.microsoft.com/graph/permissions-reference>

/// To read histories.
pub const HISTORIES: &str = "AiEnterpriseInteraction.Read.All";
/// To read users.
pub const USERS: &str = "User.Read.All";
/// To read members of groups.
pub const MEMBERS: &str = "GroupMember.Read.All";
