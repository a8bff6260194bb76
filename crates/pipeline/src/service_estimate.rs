//! What `plan` says of a service. Each service makes it in its own folder, in its own terms; how numbers and times are
//! written is up to the caller.

use std::borrow::Cow;

/// What `extract` would request from a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceEstimate {
    /// A row of titles, then a row per table: a name and numbers. Empty for a service without such a list.
    pub table: Vec<Vec<EstimatePart>>,
    /// Sentences that follow, with line breaks.
    pub text: Vec<EstimatePart>,
}

/// A part of an estimate.
#[derive(Debug, Clone, PartialEq)]
pub enum EstimatePart {
    /// Words.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
    /// A number of things, and the noun for one of them.
    Counted(u64, &'static str),
    /// A time in seconds.
    Seconds(f64),
}

impl EstimatePart {
    /// Words.
    pub(crate) const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
