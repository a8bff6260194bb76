//! The admission of requests: each is sent by the identity that may send it soonest.

use futures::FutureExt as _;
use futures::future::select_all;

use super::client::Client;
use super::identities::Refusals;
use super::identity::{Admission, SharedWaits};
use super::request::{IdentityChoice, Request};
use crate::error::Error;

impl Client {
    /// What requests wait for, whoever sends them.
    pub(super) fn shared_waits(&self) -> SharedWaits<'_> {
        SharedWaits {
            resource_gates: &self.resource_gates,
            cancellation: &self.cancellation,
            limit: self.limits.retry_policy.max_elapsed,
        }
    }

    /// Admits a request; returns the index of the identity that may send it. Identities by which it was refused are left
    /// out. One whose sign-in is refused is used no more, as long as there is another.
    pub(super) async fn admit(&self, request: &Request, refusals: &Refusals) -> Result<(usize, Admission<'_>), Error> {
        let mut candidates = self.identities.candidates(request, refusals);
        loop {
            let error = match self.first_admission(request, &candidates).await {
                // It may have ended meanwhile.
                Ok((index, admission)) if candidates.len() == 1 || self.identities.is_used(index) => {
                    return Ok((index, admission));
                }
                Ok(_) => None,
                Err(error) => Some(error),
            };
            let again = self.identities.candidates(request, refusals);
            match error {
                // Those that are left have refused it.
                Some(error) if again.is_empty() => return Err(refusals.last().map_or(error, |(_, own)| own.clone())),
                Some(error) if again == candidates || matches!(error, Error::Stopped) => return Err(error),
                _ => candidates = again,
            }
        }
    }

    /// The first admission that one of these identities gives, or the last error if none does.
    async fn first_admission(&self, request: &Request, candidates: &[usize]) -> Result<(usize, Admission<'_>), Error> {
        let (waits, in_race) = (self.shared_waits(), self.identities.count() > 1);
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

    /// Uses an identity no more that cannot sign in.
    fn note(&self, request: &Request, index: usize, error: &Error) {
        let is_own = matches!(error, Error::SignInRefused { .. } | Error::Usage { .. } | Error::Insecure { .. });
        if is_own && !matches!(request.identity, IdentityChoice::Only(_)) {
            self.identities.end(index, &error.to_string());
        }
    }
}
