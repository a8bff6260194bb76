//! People of a tenant: what they are called, which service plans they have, whether they are still there.

use copilot_lake_tables::Instant;

use crate::data::random::{Random, guid, guid_text, mix};
use crate::data::representatives::{FIRST, LAST};
use crate::scenario::graph::UserSpec;

/// The service plan that histories require.
// The emulator's own spelling, shared with no client: as an oracle of its own it finds a wrong one.
pub(crate) const BUSINESS_CHAT: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";

/// Which plans somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Licence {
    /// The one that histories require, enabled.
    Full,
    /// The same, suspended.
    Suspended,
    /// The chat that comes with every account.
    Free,
    /// Plans that are named after Copilot, and not the one that counts.
    Other,
    /// None of them.
    Without,
}

/// Somebody in the tenant.
#[derive(Debug, Clone)]
pub(crate) struct TenantUser {
    pub(crate) seed: u64,
    pub(crate) licence: Licence,
    pub(crate) enabled: bool,
    pub(crate) deleted: Option<Instant>,
    /// How many interactions they get when some are generated next, whatever others get.
    pub(crate) fresh: Option<u32>,
    /// What a scenario says about them.
    pub(crate) spec: Option<Box<UserSpec>>,
}

impl TenantUser {
    pub(crate) fn id(&self) -> String {
        self.spec.as_ref().and_then(|spec| spec.id.clone()).unwrap_or_else(|| guid_text(self.seed))
    }

    /// Appends the object id.
    pub(crate) fn write_id(&self, out: &mut Vec<u8>) {
        match self.spec.as_ref().and_then(|spec| spec.id.as_ref()) {
            Some(id) => out.extend_from_slice(id.as_bytes()),
            None => guid(out, self.seed),
        }
    }

    /// First and last name.
    pub(crate) fn names(&self) -> (&'static str, &'static str) {
        let mut random = Random::new(mix(self.seed, 0x6E61_6D65));
        (*random.pick(FIRST), *random.pick(LAST))
    }

    /// The name to sign in with; `index` is the person's number.
    pub(crate) fn principal_name(&self, index: u32) -> String {
        if let Some(upn) = self.spec.as_ref().and_then(|spec| spec.upn.as_ref()) {
            return upn.clone();
        }
        let (first, last) = self.names();
        let letters = |name: &str| -> String { name.chars().filter_map(plain).collect() };
        format!("{}.{}{index}@contoso.example", letters(first), letters(last))
    }

    /// Whether the plan that counts is enabled.
    pub(crate) fn licensed(&self) -> bool {
        let plans = self.spec.as_ref().and_then(|spec| spec.plans.as_ref());
        plans.map_or(self.licence == Licence::Full, |plans| {
            plans.iter().any(|plan| plan.id.eq_ignore_ascii_case(BUSINESS_CHAT) && plan.status == "Enabled")
        })
    }

    /// Applies what a scenario says; what it does not say stays.
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

/// A letter as principal names have it: lower case and ASCII.
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
