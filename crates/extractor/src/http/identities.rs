//! The identities of a client: which of them may send a request, and which are no longer used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::identity::ServiceIdentity;
use super::meter::Meter;
use super::request::{IdentityChoice, Request};
use crate::error::Error;

/// How often an identity may be refused what another is given, without an answer of its own in between: a single refusal
/// may be that of one user.
const MAX_DIFFERENCES: u32 = 3;

/// How long a request that one identity was refused waits for another to ask.
pub(super) const MAX_WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// All identities of a client, at least one.
#[derive(Debug)]
pub(crate) struct Identities {
    all: Vec<ServiceIdentity>,
    /// The state of each; never are all of them ended.
    states: Mutex<Vec<IdentityState>>,
    /// The longest time that a request waits for one identity alone.
    longest_wait: Duration,
}

/// What the others show of an identity.
#[derive(Debug, Clone, Default)]
struct IdentityState {
    /// Why it is no longer used.
    ended: Option<String>,
    /// How often it was refused what another was given, since its last answer.
    differences: u32,
}

/// What an identity did so far.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityUsage {
    /// The section of the configuration that describes it, such as `auth` or `dataverse.identity.1`.
    pub name: String,
    /// Its requests, and the time for which it was throttled.
    pub meter: Meter,
    /// Why it is no longer used.
    pub ended: Option<String>,
}

/// The identities by which a request was refused, with the error.
pub(super) type Refusals = [(usize, Error)];

/// The refusal that is the service's answer to a request, if there is one: that an identity is not signed in is none.
pub(super) fn refusal(refusals: &Refusals) -> Option<&Error> {
    refusals.iter().rev().map(|(_, error)| error).find(|error| !error.is_service_wide())
}

/// What a request ends with that fails for a reason other than its own: one that was refused has its answer, whatever
/// keeps the other identities from asking.
pub(super) fn conclusion(refusals: &Refusals, error: Error) -> Error {
    match refusal(refusals) {
        Some(refusal) if !matches!(error, Error::Stopped) => refusal.clone(),
        _ => error,
    }
}

impl Identities {
    /// These identities; the first is the one that is preferred where all requests should have the same.
    pub(super) fn new(all: Vec<ServiceIdentity>, longest_wait: Duration) -> Self {
        let states = Mutex::new(vec![IdentityState::default(); all.len()]);
        Self { all, states, longest_wait }
    }

    pub(crate) fn get(&self, index: usize) -> &ServiceIdentity {
        &self.all[index]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ServiceIdentity> {
        self.all.iter()
    }

    /// How many there are, used or not.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether an identity is still used.
    pub(crate) fn is_used(&self, index: usize) -> bool {
        self.lock()[index].ended.is_none()
    }

    /// Why an identity is no longer used.
    pub(crate) fn ended(&self, index: usize) -> Option<String> {
        self.lock()[index].ended.clone()
    }

    /// The indices of those that are still used.
    pub(crate) fn used(&self) -> Vec<usize> {
        let states = self.lock();
        let used = states.iter().enumerate().filter(|(_, state)| state.ended.is_none());
        used.map(|(index, _)| index).collect()
    }

    /// Ends the use of an identity, unless it is the last one: then `false`, and what is wrong is the service's.
    pub(crate) fn end(&self, index: usize, reason: &str) -> bool {
        let mut states = self.lock();
        if states[index].ended.is_some() {
            return true;
        }
        if states.iter().filter(|state| state.ended.is_none()).count() == 1 {
            return false;
        }
        states[index].ended = Some(reason.to_owned());
        warn!(identity = self.all[index].name, reason, "an identity is no longer used; the others go on");
        true
    }

    /// Takes in what came of signing in as each of these identities. Those that were refused are no longer used, nor those
    /// that `unequal` finds among the others, with its reasons. Returns what came of the first that is used.
    ///
    /// # Errors
    /// That of the first identity if all were refused.
    pub(crate) fn accept<T>(
        &self,
        sign_ins: impl IntoIterator<Item = (usize, Result<T, Error>)>,
        unequal: impl FnOnce(&[(usize, T)]) -> Vec<(usize, String)>,
    ) -> Result<T, Error> {
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for (index, sign_in) in sign_ins {
            match sign_in {
                Ok(signed_in) => accepted.push((index, signed_in)),
                Err(error) => refused.push((index, error)),
            }
        }
        if accepted.is_empty() {
            return Err(refused.into_iter().next().map_or(Error::Stopped, |(_, error)| error));
        }
        let refused = refused.into_iter().map(|(index, error)| (index, error.to_string()));
        for (index, reason) in refused.chain(unequal(&accepted)) {
            self.end(index, &reason);
        }
        let used = accepted.into_iter().find(|(index, _)| self.is_used(*index));
        used.map(|(_, signed_in)| signed_in).ok_or(Error::Stopped)
    }

    /// Notes that an identity was given what it requested, and others were refused it. One that lacks a right is no longer
    /// used; nor is one that is refused again and again.
    pub(super) fn answered(&self, index: usize, refusals: Vec<(usize, Error)>) {
        if self.all.len() == 1 {
            return;
        }
        self.lock()[index].differences = 0;
        for (refused, error) in refusals {
            let differences = {
                let mut states = self.lock();
                states[refused].differences = states[refused].differences.saturating_add(1);
                states[refused].differences
            };
            if error.is_of_rights() || differences >= MAX_DIFFERENCES {
                self.end(refused, &error.without_call());
            }
        }
    }

    /// The identities that may send a request, the one with the least to do first.
    pub(super) fn candidates(&self, request: &Request, refusals: &Refusals) -> Vec<usize> {
        if self.all.len() == 1 {
            return if refusals.is_empty() { vec![0] } else { Vec::new() };
        }
        let is_refused = |index: usize| refusals.iter().any(|(refused, _)| *refused == index);
        let mut candidates = match request.identity {
            IdentityChoice::Only(index) => vec![index],
            _ => self.used(),
        };
        candidates.retain(|index| !is_refused(*index));
        if let IdentityChoice::Preferred(index) = request.identity
            && candidates.contains(&index)
            && self.opens_in(&[index], request.resource).is_none_or(|wait| wait <= self.longest_wait)
        {
            return vec![index];
        }
        candidates.sort_by_cached_key(|index| {
            let identity = &self.all[*index];
            (identity.concurrency.in_flight(), identity.counters.requests())
        });
        candidates
    }

    /// How long it takes until one of these identities lets a request for this resource pass.
    pub(super) fn opens_in(&self, candidates: &[usize], resource: u64) -> Option<Duration> {
        let now = Instant::now();
        let opens_in = |index: &usize| {
            self.all[*index].opens_at(resource).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
        };
        candidates.iter().map(opens_in).min()
    }

    /// Whether one of these identities lets a request for this resource pass within seconds.
    pub(super) fn opens_soon(&self, candidates: &[usize], resource: u64) -> bool {
        self.opens_in(candidates, resource).is_some_and(|wait| wait <= MAX_WAIT_AFTER_REFUSAL)
    }

    /// Closes the gates of all identities: it is the service that cannot answer.
    pub(super) fn close_all(&self, pause: Duration) -> Duration {
        self.all.iter().map(|identity| identity.gate.close(pause)).max().unwrap_or_default()
    }

    /// How many requests of all identities may be in flight at once now.
    pub(crate) fn in_flight_limit(&self) -> usize {
        self.used().into_iter().map(|index| self.all[index].concurrency.limit()).sum()
    }

    /// What each of several did so far; nothing where there is only one.
    pub(crate) fn usage(&self) -> Vec<IdentityUsage> {
        if self.all.len() == 1 {
            return Vec::new();
        }
        let states = self.lock();
        let usage = |(identity, state): (&ServiceIdentity, &IdentityState)| IdentityUsage {
            name: identity.name.clone(),
            meter: identity.counters.snapshot(),
            ended: state.ended.clone(),
        };
        self.all.iter().zip(states.iter()).map(usage).collect()
    }

    /// The requests of all of them, and the time for which they were throttled, on average.
    pub(crate) fn meter(&self) -> Meter {
        let meters = self.all.iter().map(|identity| identity.counters.snapshot());
        let sum = meters.fold(Meter::default(), |sum, meter| Meter {
            requests: sum.requests + meter.requests,
            throttled_seconds: sum.throttled_seconds + meter.throttled_seconds,
        });
        Meter { throttled_seconds: sum.throttled_seconds / self.all.len() as f64, ..sum }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IdentityState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
