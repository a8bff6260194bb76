//! The application permissions that Graph requires.
//!
//! <https://learn.microsoft.com/graph/permissions-reference>

/// Read histories.
pub const HISTORIES: &str = "AiEnterpriseInteraction.Read.All";
/// Read users.
pub const USERS: &str = "User.Read.All";
/// Read members of groups.
pub const MEMBERS: &str = "GroupMember.Read.All";
