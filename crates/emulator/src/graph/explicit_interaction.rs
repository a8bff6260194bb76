//! An explicit interaction of a scenario.

/// An explicit interaction as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct ExplicitInteraction {
    /// Microseconds since the Unix epoch.
    pub(crate) created: i64,
    /// When it can be read.
    pub(crate) arrives: i64,
    pub(crate) class: String,
    pub(crate) folder: usize,
    pub(crate) json: Box<[u8]>,
}
