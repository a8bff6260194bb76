//! The instance that a lake mirrors.

/// The source that a lake mirrors. What is not known yet is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// The Dataverse organization id.
    pub organization: Option<String>,
    /// The Microsoft Entra tenant id.
    pub tenant: Option<String>,
}
