//! Users of a tenant: names, licences, and whether they still exist.

use copilot_lake_tables::Instant;

use crate::data::random::{Random, guid_text, mix};
use crate::data::representatives::PEOPLE;
use crate::scenario::graph::UserSpec;

/// The service plan that histories require.
// Spelled here again on purpose: sharing it with the extractor would hide a wrong one.
pub(crate) const BUSINESS_CHAT: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";

/// Which plans a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Licence {
    /// The one that histories require, enabled.
    Full,
    /// The same, suspended.
    Suspended,
    /// The chat that comes with every account.
    Free,
    /// Plans named after Copilot, without the one that histories require.
    Other,
    /// None of them.
    Without,
}

/// A user of the tenant.
#[derive(Debug, Clone)]
pub(crate) struct TenantUser {
    pub(crate) seed: u64,
    pub(crate) licence: Licence,
    pub(crate) enabled: bool,
    pub(crate) deleted: Option<Instant>,
    /// The explicit number of interactions for the next generation.
    pub(crate) fresh: Option<u32>,
    /// What the scenario sets.
    pub(crate) spec: Option<Box<UserSpec>>,
}

impl TenantUser {
    pub(crate) fn id(&self) -> String {
        self.spec.as_ref().and_then(|spec| spec.id.clone()).unwrap_or_else(|| guid_text(self.seed))
    }

    /// First and last name.
    pub(crate) fn names(&self) -> (&'static str, &'static str) {
        let mut random = Random::new(mix(self.seed, 0x6E61_6D65));
        (random.pick(&PEOPLE.first_names).as_str(), random.pick(&PEOPLE.last_names).as_str())
    }

    /// The user principal name; `index` is the user's index.
    pub(crate) fn principal_name(&self, index: u32) -> String {
        if let Some(upn) = self.spec.as_ref().and_then(|spec| spec.upn.as_ref()) {
            return upn.clone();
        }
        let (first, last) = self.names();
        let letters = |name: &str| -> String { name.chars().filter_map(plain).collect() };
        format!("{}.{}{index}@contoso.example", letters(first), letters(last))
    }

    /// Whether the plan that histories require is enabled.
    pub(crate) fn licensed(&self) -> bool {
        let plans = self.spec.as_ref().and_then(|spec| spec.plans.as_ref());
        plans.map_or(self.licence == Licence::Full, |plans| {
            plans.iter().any(|plan| plan.id.eq_ignore_ascii_case(BUSINESS_CHAT) && plan.status == "Enabled")
        })
    }

    /// Applies the changes of a scenario and keeps the rest.
    pub(crate) fn apply(&mut self, spec: &UserSpec) {
        if let Some(licensed) = spec.licensed {
            self.licence = if licensed { Licence::Full } else { Licence::Without };
        }
        self.enabled = spec.enabled.unwrap_or(self.enabled);
        self.deleted = spec.deleted.map(|at| at.0).or(self.deleted);
        self.fresh = spec.interactions.or(self.fresh);
        let known = self.spec.get_or_insert_default();
        let newer = spec.clone();
        known.id = known.id.take().or(newer.id);
        known.upn = newer.upn.or(known.upn.take());
        known.plans = match (newer.plans, newer.licensed) {
            (None, Some(_)) => None,
            (plans, _) => plans.or(known.plans.take()),
        };
        known.values.extend(newer.values);
        known.interactions = newer.interactions.or(known.interactions);
        known.status = newer.status.or(known.status);
        known.code = newer.code.or(known.code.take());
        known.message = newer.message.or(known.message.take());
    }
}

/// A letter as in principal names: lower case and ASCII.
fn plain(letter: char) -> Option<char> {
    match letter {
        'é' | 'É' | 'è' => Some('e'),
        'ü' => Some('u'),
        'ö' => Some('o'),
        'í' => Some('i'),
        other if other.is_ascii_alphabetic() => Some(other.to_ascii_lowercase()),
        _ => None,
    }
}
