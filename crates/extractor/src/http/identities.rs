//! The identities of a client: which of them may send a request, and which are used no more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::identity::ServiceIdentity;
use super::meter::Meter;
use super::request::{IdentityChoice, Request};
use crate::error::Error;

/// All identities of a client, at least one.
#[derive(Debug)]
pub(crate) struct Identities {
    all: Vec<ServiceIdentity>,
    /// Why an identity is used no more, for each; never for all of them.
    ended: Mutex<Vec<Option<String>>>,
    /// The longest time that a request waits for one identity alone.
    longest_wait: Duration,
}

/// What an identity did so far.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityUsage {
    /// The section of the configuration that describes it, such as `auth` or `dataverse.identity.1`.
    pub name: String,
    /// Its requests, and the time for which it was throttled.
    pub meter: Meter,
    /// Why it is used no more.
    pub ended: Option<String>,
}

/// The identities by which a request was refused, with the error.
pub(super) type Refusals = [(usize, Error)];

impl Identities {
    /// These identities; the first is the one that is preferred where all requests should have the same.
    pub(super) fn new(all: Vec<ServiceIdentity>, longest_wait: Duration) -> Self {
        let ended = Mutex::new(vec![None; all.len()]);
        Self { all, ended, longest_wait }
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
        self.lock()[index].is_none()
    }

    /// The indices of those that are still used.
    pub(crate) fn used(&self) -> Vec<usize> {
        self.lock().iter().enumerate().filter(|(_, ended)| ended.is_none()).map(|(index, _)| index).collect()
    }

    /// Uses an identity no more, unless it is the last one: then `false`, and what is wrong is the service's.
    pub(crate) fn end(&self, index: usize, reason: &str) -> bool {
        let mut ended = self.lock();
        if ended[index].is_some() {
            return true;
        }
        if ended.iter().filter(|ended| ended.is_none()).count() == 1 {
            return false;
        }
        ended[index] = Some(reason.to_owned());
        warn!(identity = self.all[index].name, reason, "an identity is used no more; the others go on");
        true
    }

    /// Uses those no more that were refused what another was given.
    pub(super) fn end_refused(&self, refusals: Vec<(usize, Error)>) {
        for (index, error) in refusals {
            self.end(index, &error.without_call());
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

    /// Closes the gates of all identities: it is the service that cannot answer.
    pub(super) fn close_all(&self, pause: Duration) -> Duration {
        self.all.iter().map(|identity| identity.gate.close(pause)).max().unwrap_or_default()
    }

    /// How many requests of all identities may be in flight at once now.
    pub(crate) fn in_flight_limit(&self) -> usize {
        self.used().into_iter().map(|index| self.all[index].concurrency.limit()).sum()
    }

    /// What each did so far.
    pub(crate) fn usage(&self) -> Vec<IdentityUsage> {
        let ended = self.lock();
        let usage = |(identity, ended): (&ServiceIdentity, &Option<String>)| IdentityUsage {
            name: identity.name.clone(),
            meter: identity.counters.snapshot(),
            ended: ended.clone(),
        };
        self.all.iter().zip(ended.iter()).map(usage).collect()
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

    fn lock(&self) -> MutexGuard<'_, Vec<Option<String>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
