//! The admission of requests: each is sent by the identity that may send it soonest.

use futures::FutureExt as _;
use futures::future::select_all;

use super::client::Client;
use super::identities::{self, MAX_WAIT_AFTER_REFUSAL, Refusals};
use super::identity::{Admission, SharedWaits};
use super::request::{IdentityChoice, Request};
use crate::error::Error;

impl Client {
    /// What requests of all identities wait for.
    pub(super) fn shared_waits(&self) -> SharedWaits<'_> {
        SharedWaits {
            resource_gates: &self.resource_gates,
            cancellation: &self.cancellation,
            limit: self.limits.retry_policy.max_elapsed,
        }
    }

    /// Admits a request; returns the index of the identity that may send it. Identities by which it was refused are left
    /// out, and the others have to be ready within seconds: otherwise the refusal is its answer. One whose sign-in is
    /// refused is no longer used, as long as there is another.
    pub(super) async fn admit(&self, request: &Request, refusals: &Refusals) -> Result<(usize, Admission<'_>), Error> {
        let mut candidates = self.identities.candidates(request, refusals);
        loop {
            if candidates.is_empty() {
                // They have refused it, or were ended meanwhile.
                let last = refusals.last().map_or(Error::Stopped, |(_, error)| error.clone());
                return Err(identities::conclusion(refusals, last));
            }
            if let Some(refusal) = identities::refusal(refusals)
                && !self.identities.opens_soon(&candidates, request.resource)
            {
                return Err(refusal.clone());
            }
            let error = match self.first_admission(request, refusals, &candidates).await {
                // It may have ended meanwhile.
                Ok((index, admission)) if candidates.len() == 1 || self.identities.is_used(index) => {
                    return Ok((index, admission));
                }
                Ok(_) => None,
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(error) => Some(error),
            };
            let again = self.identities.candidates(request, refusals);
            // Their order is that of what they have to do.
            let are_same = again.len() == candidates.len() && again.iter().all(|index| candidates.contains(index));
            match error {
                Some(error) if again.is_empty() || are_same => return Err(identities::conclusion(refusals, error)),
                _ => candidates = again,
            }
        }
    }

    /// The first admission that one of these identities gives, or the last error if none does.
    async fn first_admission(
        &self,
        request: &Request,
        refusals: &Refusals,
        candidates: &[usize],
    ) -> Result<(usize, Admission<'_>), Error> {
        let (mut waits, in_race) = (self.shared_waits(), self.identities.count() > 1);
        if identities::refusal(refusals).is_some() {
            waits.limit = waits.limit.min(MAX_WAIT_AFTER_REFUSAL);
        }
        if let [index] = *candidates {
            let admitted = self.identities.get(index).admit(request, waits, in_race).await;
            return admitted.map(|admission| (index, admission)).inspect_err(|error| self.note(request, index, error));
        }
        let admit = |index: &usize| {
            let index = *index;
            async move { (index, self.identities.get(index).admit(request, waits, in_race).await) }.boxed()
        };
        let mut admissions: Vec<_> = candidates.iter().map(admit).collect();
        let mut last = Error::Stopped;
        while !admissions.is_empty() {
            let ((index, admitted), _, others) = select_all(admissions).await;
            match admitted {
                Ok(admission) => return Ok((index, admission)),
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(error) => {
                    self.note(request, index, &error);
                    last = error;
                }
            }
            admissions = others;
        }
        Err(last)
    }

    /// Ends the use of an identity that cannot sign in.
    fn note(&self, request: &Request, index: usize, error: &Error) {
        let is_own = matches!(error, Error::SignInRefused { .. } | Error::Usage { .. } | Error::Insecure { .. });
        if is_own && !matches!(request.identity, IdentityChoice::Only(_)) {
            self.identities.end(index, &error.to_string());
        }
    }
}
