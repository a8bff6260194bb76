//! An interaction that a scenario spells out, as it is kept.

/// An interaction that was spelled out, as it is sent.
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
