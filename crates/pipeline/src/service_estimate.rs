//! What `plan` says of a service. Each service makes it in its own folder, in its own terms; how numbers and times are
//! written is up to the caller.

use std::borrow::Cow;

use copilot_lake_extractor::IdentityUsage;

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

/// The identities that share the calls to a service; none where there is only one.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedCalls {
    used: Vec<String>,
    /// Those that are not used, and why.
    ended: Vec<(String, String)>,
}

impl SharedCalls {
    pub(crate) fn new(usages: Vec<IdentityUsage>) -> Self {
        let mut shared = Self::default();
        for IdentityUsage { name, ended, .. } in usages {
            match ended {
                Some(reason) => shared.ended.push((name, reason)),
                None => shared.used.push(name),
            }
        }
        shared
    }

    /// By how many a time is shorter than that of one identity.
    pub(crate) fn count(&self) -> f64 {
        self.used.len().max(1) as f64
    }

    /// Which identities there are and what each does, where there is more than one.
    pub(crate) fn describe(&self, calls: u64) -> Vec<EstimatePart> {
        let mut text = Vec::new();
        if self.used.is_empty() {
            return text;
        }
        for (number, name) in self.used.iter().enumerate() {
            text.push(EstimatePart::text(if number == 0 { "Identities: " } else { ", " }));
            text.push(EstimatePart::Text(format!("`{name}`, about ").into()));
            text.push(EstimatePart::Counted(calls.div_ceil(self.used.len() as u64), "call"));
        }
        text.push(EstimatePart::text(".\n"));
        for (name, reason) in &self.ended {
            text.push(EstimatePart::Text(format!("Identity `{name}` is not used: {reason}.\n").into()));
        }
        text
    }
}
