//! A tenant at one moment: users, groups, and the parameters of their interactions.

use std::collections::{BTreeSet, HashMap};

use copilot_lake_tables::Instant;

use crate::data::random::{Random, hash, mix};
use crate::error::Error;
use crate::graph::copilot_app::share;
use crate::graph::interaction::{BLOCK, ExplicitInteraction, InteractionSequence, SequenceOwner};
use crate::graph::tenant_user::{Licence, TenantUser};
use crate::graph::working_hours::work;
use crate::scenario::graph::{GraphSpec, GroupSpec, UserReference, UserSpec};

/// The state of a tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenant {
    pub(crate) seed: u64,
    pub(crate) folders: usize,
    pub(crate) people: Vec<TenantUser>,
    /// Users by the hashes of their ids and principal names.
    index: HashMap<u64, u32>,
    waves: Vec<Wave>,
    /// Explicit interactions by user.
    pub(crate) explicit: HashMap<u32, Vec<ExplicitInteraction>>,
    groups: Vec<GroupSpec>,
}

/// Interactions that were generated together.
#[derive(Debug, Clone)]
struct Wave {
    seed: u64,
    /// In units of work.
    from: i64,
    until: i64,
    /// One per user.
    quotas: Vec<Quota>,
}

/// How many interactions of a wave a user has.
#[derive(Debug, Clone, Copy, Default)]
struct Quota {
    own: u32,
    /// The number of the meeting that they attended, from 1; 0 for none.
    meeting: u32,
}

/// Participants of a meeting.
const PARTY: u32 = 5;

/// Interactions per meeting.
const MEETING_PER: u32 = 400;

/// The share of users whose account may not sign in.
const DISABLED: f64 = 0.04;

/// The shortest average time between a user's interactions, in milliseconds.
const SHORTEST: i64 = 4_000;

impl Tenant {
    /// The tenant of a scenario; `seed` is the scenario's, `end` the last moment of generated interactions.
    pub(crate) fn new(spec: &GraphSpec, seed: u64, end: Instant) -> Result<Self, Error> {
        let seed = mix(seed, 0x6772_6170);
        let mut tenant = Self { seed, folders: spec.folders, ..Self::default() };
        for number in 0..spec.users {
            tenant.people.push(generated(spec, mix(seed, 10_000_000 + u64::from(number)), end));
        }
        for user in &spec.user {
            tenant.user(user)?;
        }
        tenant.index();
        let from = end.plus_seconds(-i64::from(spec.days) * 86_400);
        tenant.generate(spec.interactions, spec.quiet, from, end)?;
        for group in &spec.group {
            tenant.group(group)?;
        }
        Ok(tenant)
    }

    fn index(&mut self) {
        self.index.clear();
        for (at, person) in self.people.iter().enumerate() {
            let at = at as u32;
            self.index.insert(hash(person.principal_name(at).as_bytes()), at);
            self.index.insert(hash(person.id().as_bytes()), at);
        }
    }

    /// The index of a user by object id or principal name.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.index.get(&hash(name.as_bytes())).copied()
    }

    /// The index of a user that a scenario names.
    pub(crate) fn who(&self, who: &UserReference) -> Result<u32, Error> {
        let found = match who {
            UserReference::Index(at) => Some(*at).filter(|at| (*at as usize) < self.people.len()),
            UserReference::Name(name) => self.find(name),
        };
        found.ok_or_else(|| Error::scenario(format!("no user {who:?}")))
    }

    /// Adds or changes a user.
    fn user(&mut self, spec: &UserSpec) -> Result<(), Error> {
        let known = match spec.index {
            Some(at) => Some(self.who(&UserReference::Index(at))?),
            None => spec.id.as_ref().and_then(|id| self.find(id)),
        };
        let at = known.unwrap_or_else(|| {
            let seed = mix(self.seed, 20_000_000 + self.people.len() as u64);
            let person =
                TenantUser { seed, licence: Licence::Full, enabled: true, deleted: None, fresh: None, spec: None };
            self.people.push(person);
            self.people.len() as u32 - 1
        });
        self.people[at as usize].apply(spec);
        Ok(())
    }

    /// Adds or changes users after the start.
    pub(crate) fn users(&mut self, specs: &[UserSpec]) -> Result<(), Error> {
        specs.iter().try_for_each(|spec| self.user(spec))?;
        self.index();
        Ok(())
    }

    /// Adds a group, or replaces the one with its id.
    pub(crate) fn group(&mut self, spec: &GroupSpec) -> Result<(), Error> {
        for who in &spec.members {
            self.who(who)?;
        }
        self.groups.retain(|group| !group.id.eq_ignore_ascii_case(&spec.id));
        self.groups.push(spec.clone());
        Ok(())
    }

    /// The users in a group and in the groups inside it, each once; `None` if there is no such group.
    pub(crate) fn members(&self, group: &str) -> Option<BTreeSet<u32>> {
        let named = |id: &str| self.groups.iter().find(|group| group.id.eq_ignore_ascii_case(id));
        let mut open = vec![named(group)?];
        let mut seen = Vec::new();
        let mut members = BTreeSet::new();
        while let Some(group) = open.pop() {
            // Groups may be members of each other.
            if seen.contains(&&group.id) {
                continue;
            }
            seen.push(&group.id);
            let count = self.people.len() as u32;
            members.extend(group.members.iter().filter_map(|who| self.who(who).ok()));
            members.extend(0..group.first.min(count));
            members.extend((0..group.every.map_or(0, |_| count)).step_by(group.every.unwrap_or(1).max(1) as usize));
            open.extend(group.groups.iter().filter_map(|id| named(id)));
        }
        members.retain(|at| self.people[*at as usize].deleted.is_none());
        Some(members)
    }

    /// The ids of the groups.
    pub(crate) fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.id.as_str())
    }

    /// Generates interactions of all users within an interval, including meetings.
    pub(crate) fn generate(&mut self, rows: u32, quiet: f64, from: Instant, until: Instant) -> Result<(), Error> {
        let number = self.waves.len() as u64;
        // Users with an explicit number of interactions get no others.
        let exact = |person: &TenantUser| person.spec.as_ref().is_some_and(|spec| spec.interactions.is_some());
        let fixed_count = |person: &TenantUser| person.fresh.or_else(|| exact(person).then_some(0));
        let mut weights: Vec<_> = self.people.iter().map(|person| weight(person, quiet)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights.fill(1);
        }
        let mut quotas = vec![Quota::default(); self.people.len()];
        let mut met = 0;
        for meeting in 0..(self.people.len() as u32 / PARTY).min(rows / MEETING_PER) {
            for at in meeting * PARTY..(meeting + 1) * PARTY {
                let at = at as usize;
                if weights[at] > 0 && fixed_count(&self.people[at]).is_none() {
                    quotas[at].meeting = meeting + 1;
                    met += BLOCK as u32;
                }
            }
        }
        for (weight, person) in weights.iter_mut().zip(&self.people) {
            // Users with an explicit number take no share.
            *weight = if fixed_count(person).is_some() { 0 } else { *weight };
        }
        let total = weights.iter().sum::<u64>().max(1);
        let share = |weight: u64| u128::from(weight) * u128::from(rows.saturating_sub(met)) / u128::from(total);
        let mut sum = 0;
        for ((quota, weight), person) in quotas.iter_mut().zip(&weights).zip(&self.people) {
            let before = share(sum);
            sum += weight;
            quota.own = fixed_count(person).unwrap_or((share(sum) - before) as u32);
        }
        self.people.iter_mut().for_each(|person| person.fresh = None);
        let (from, until) = (from.0.div_euclid(1_000), until.0.div_euclid(1_000));
        let most = quotas.iter().map(|quota| i64::from(quota.own)).max().unwrap_or(0);
        if most > 0 && (until - from) / most < SHORTEST {
            return Err(Error::scenario(format!("[graph]: {most} interactions of one user need more time")));
        }
        self.waves.push(Wave { seed: mix(self.seed, number), from: work(from), until: work(until), quotas });
        Ok(())
    }

    /// The generated interactions of a user in a folder.
    pub(crate) fn sequences(&self, user: u32, folder: usize) -> impl Iterator<Item = InteractionSequence> {
        let seed = self.people[user as usize].seed;
        self.waves.iter().flat_map(move |wave| {
            let quota = wave.quotas.get(user as usize).copied().unwrap_or_default();
            let Wave { from, until, .. } = *wave;
            let rows = share(quota.own, seed, folder, self.folders);
            let own = InteractionSequence {
                seed: mix(mix(wave.seed, seed), folder as u64),
                rows,
                from,
                until,
                owner: SequenceOwner::Own { asker: user, folder },
            };
            let meeting = quota.meeting.checked_sub(1).filter(|_| folder == 0).map(|meeting| InteractionSequence {
                seed: mix(wave.seed, 0x6D65_6574 + u64::from(meeting)),
                rows: BLOCK as u32,
                from,
                until,
                owner: SequenceOwner::Meeting { first: meeting * PARTY, people: PARTY },
            });
            [Some(own), meeting].into_iter().flatten().filter(|sequence| sequence.rows > 0)
        })
    }
}

fn generated(spec: &GraphSpec, seed: u64, end: Instant) -> TenantUser {
    let mut random = Random::new(mix(seed, 0x7065_7273));
    let mut yes = |share: f64| random.below(10_000) < (share * 10_000.0).round() as u64;
    let (enabled, deleted) = (!yes(DISABLED), yes(spec.deleted));
    let mut at = random.below(10_000) as f64 / 10_000.0;
    let mut licence = Licence::Without;
    for (share, kind) in
        [(spec.licensed, Licence::Full), (0.05, Licence::Suspended), (0.1, Licence::Free), (0.05, Licence::Other)]
    {
        if at < share {
            licence = kind;
            break;
        }
        at -= share;
    }
    // Some so long ago that they are no longer listed.
    let deleted = deleted.then(|| end.floor_second().plus_seconds(-(random.below(40 * 86_400) as i64)));
    TenantUser { seed, licence, enabled, deleted, fresh: None, spec: None }
}

/// How active a user is, compared with others.
fn weight(person: &TenantUser, quiet: f64) -> u64 {
    let mut random = Random::new(mix(person.seed, 0x7765_6967));
    if random.below(10_000) < (quiet * 10_000.0).round() as u64 {
        return 0;
    }
    let weight = (16 + random.below(16)) << random.below(8);
    match person.licence {
        _ if person.deleted.is_some() => weight / 4,
        Licence::Full => weight,
        // They used to have a licence.
        Licence::Suspended | Licence::Other => weight / 4,
        Licence::Free | Licence::Without => 0,
    }
}
