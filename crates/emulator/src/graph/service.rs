//! A tenant that is served, and what is counted while it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use copilot_lake_tables::Instant;

use crate::Error;
use crate::clock::Clock;
use crate::graph::history_cursor::Present;
use crate::graph::tenant::Tenant;
use crate::graph::throttle::Throttle;
use crate::route::Kind;
use crate::scenario::graph::{GraphPhase, GraphSpec};

/// A tenant that is served.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) settings: GraphSpec,
    tenant: RwLock<Arc<Tenant>>,
    pub(crate) throttle: Throttle,
    counts: Arc<Mutex<Counts>>,
}

/// What is counted while the tenant is served.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Rows in pages, by kind.
    pub(crate) rows: BTreeMap<&'static str, u64>,
    pub(crate) throttled: u64,
    pub(crate) at_once: u64,
    pub(crate) links_altered: u64,
    /// Whose histories were sent.
    pub(crate) read: HashSet<u32>,
    /// How many requests for somebody's history are under way.
    asking: HashMap<u32, u32>,
    /// How many interactions there were at a moment.
    pub(crate) interactions: Option<(i64, u64)>,
}

/// A request for somebody's history that is under way.
#[derive(Debug)]
pub(crate) struct Asking {
    counts: Arc<Mutex<Counts>>,
    user: u32,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = counts.asking.get_mut(&self.user) {
            *now -= 1;
            if *now == 0 {
                counts.asking.remove(&self.user);
            }
        }
    }
}

impl Graph {
    /// The tenant of a scenario. Its generated interactions end at the end of the day that is said, or of the usual one.
    pub(crate) fn new(spec: &GraphSpec, seed: u64, usual: i32, clock: &Clock) -> Result<Self, Error> {
        let end = Instant::from_days(spec.end.map_or(usual, |end| end.0.days()) + 1);
        let mut tenant = Tenant::new(spec, seed, end)?;
        tenant.spell(&spec.interaction, end.plus_seconds(-1))?;
        if spec.users > 0 || !spec.interaction.is_empty() {
            clock.pass(end);
        }
        let settings = GraphSpec { user: Vec::new(), group: Vec::new(), interaction: Vec::new(), ..spec.clone() };
        Ok(Self {
            throttle: Throttle::new(spec.limits.clone()),
            settings,
            tenant: RwLock::new(Arc::new(tenant)),
            counts: Arc::default(),
        })
    }

    pub(crate) fn tenant(&self) -> Arc<Tenant> {
        Arc::clone(&self.tenant.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) const fn present(&self, now: Instant) -> Present {
        Present { now, late: self.settings.late }
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody's history is asked for, perhaps while it is being asked for already.
    pub(crate) fn asking(&self, name: &str) -> Option<Asking> {
        let user = self.tenant().find(name)?;
        let mut counts = self.counts();
        let now = counts.asking.entry(user).or_default();
        *now += 1;
        let before = *now - 1;
        counts.at_once += u64::from(before > 0);
        Some(Asking { counts: Arc::clone(&self.counts), user })
    }

    /// The object id of a person by object id or principal name.
    pub(crate) fn id_of(&self, name: &str) -> Option<String> {
        let tenant = self.tenant();
        tenant.find(name).map(|at| tenant.people[at as usize].id())
    }

    pub(crate) fn throttled(&self) {
        self.counts().throttled += 1;
    }

    pub(crate) fn sent(&self, kind: Kind, rows: usize) {
        *self.counts().rows.entry(kind.name()).or_default() += rows as u64;
    }

    pub(crate) fn read(&self, user: u32, altered: bool) {
        let mut counts = self.counts();
        counts.read.insert(user);
        counts.links_altered += u64::from(altered);
    }

    /// Applies what a phase says; `before` was the time until now.
    pub(crate) fn advance(&self, phase: &GraphPhase, before: Instant, now: Instant) -> Result<(), Error> {
        let mut tenant = Tenant::clone(&self.tenant());
        tenant.users(&phase.user)?;
        phase.group.iter().try_for_each(|group| tenant.group(group))?;
        let fresh = phase.user.iter().any(|user| user.interactions.is_some());
        if phase.interactions > 0 || fresh {
            let until = phase.until.map_or(now.plus_seconds(-60), |at| at.0);
            let from = phase.from.map_or(before, |at| at.0).min(until.plus_seconds(-60));
            tenant.generate(phase.interactions, self.settings.quiet, from, until)?;
        }
        // A moment before now: a window that ends now has them.
        tenant.spell(&phase.interaction, now.floor_second().plus_seconds(-2))?;
        self.counts().interactions = None;
        *self.tenant.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tenant);
        Ok(())
    }
}
