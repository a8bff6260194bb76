//! The configured services: signed in to one after the other, and read side by side.

use std::sync::Arc;
use std::time::Duration;

use copilot_lake_extractor::{Error as ServiceError, Meter};
use copilot_lake_tables::Instant;
use copilot_lake_writer::{Instance, LakeOptions};
use futures::future::{join_all, try_join_all};
use tokio::task::JoinSet;

use crate::dataverse::reader::DataverseReader;
use crate::error::Error;
use crate::finding::Finding;
use crate::graph::reader::GraphReader;
use crate::ledger::runs::Restart;
use crate::report::{EndedEarly, IdentityReport};
use crate::run::context::RunContext;
use crate::run::plan_context::PlanContext;
use crate::run::restart_barrier::RestartBarrier;
use crate::run::service_reader::ServiceReader;
use crate::run::shutdown::Shutdown;
use crate::service_estimate::ServiceEstimate;
use crate::settings::ServiceJob;

/// The configured services, in the order of the jobs.
pub(crate) struct Services(Vec<ConfiguredService>);

struct ConfiguredService {
    reader: Box<dyn ServiceReader>,
    /// Why the service cannot be read.
    refused: Option<Error>,
}

/// What signing in showed.
pub(crate) struct SignedIn {
    /// The time by the first service's clock.
    pub(crate) started_at: Instant,
    /// Whose data the lake holds.
    pub(crate) instance: Instance,
}

/// The reader of a service: the list of all that there are.
fn reader(job: ServiceJob) -> Result<Box<dyn ServiceReader>, Error> {
    Ok(match job {
        ServiceJob::Dataverse(job) => Box::new(DataverseReader::new(job)?),
        ServiceJob::Graph(job) => Box::new(GraphReader::new(job)?),
    })
}

impl Services {
    /// Prepares the services of these jobs. Sends nothing yet.
    pub(crate) fn new(jobs: Vec<ServiceJob>) -> Result<Self, Error> {
        let configured = |job| Ok(ConfiguredService { reader: reader(job)?, refused: None });
        Ok(Self(jobs.into_iter().map(configured).collect::<Result<_, Error>>()?))
    }

    fn readers(&self) -> impl Iterator<Item = &dyn ServiceReader> {
        self.0.iter().map(|configured| &*configured.reader)
    }

    /// Adapts how the lake is opened for a run that reads these services.
    pub(crate) fn adapt_lake(&self, options: &mut LakeOptions) {
        self.readers().for_each(|reader| reader.adapt_lake(options));
    }

    /// Stops every service once the run is to stop, so that nothing is attempted again and no read drags on. Ends when
    /// the result is dropped.
    pub(crate) fn stop_on(&self, shutdown: Arc<Shutdown>) -> JoinSet<()> {
        let stops: Vec<_> = self.readers().map(|reader| reader.stop()).collect();
        let mut stopping = JoinSet::new();
        stopping.spawn(async move {
            shutdown.requested().await;
            stops.into_iter().for_each(|stop| stop());
        });
        stopping
    }

    /// Makes every call wait this long for a service that answers nothing.
    pub(crate) fn wait_out_outages(&self, longest: Duration) {
        self.readers().for_each(|reader| reader.wait_out_outages(longest));
    }

    /// Signs in to every service. A refusal of one does not keep the others from being read. `None` when no service is
    /// configured.
    ///
    /// # Errors
    /// The first service's, when no service accepts the sign-in.
    pub(crate) async fn sign_in(&mut self) -> Result<Option<SignedIn>, Error> {
        let (mut instance, mut started_at) = (Instance::default(), None);
        for ConfiguredService { reader, refused } in &mut self.0 {
            match reader.sign_in(&mut instance).await {
                Ok(time) => started_at = started_at.or(Some(time)),
                Err(error) => *refused = Some(error),
            }
        }
        match started_at {
            Some(started_at) => Ok(Some(SignedIn { started_at, instance })),
            None => self.require_all().map(|()| None),
        }
    }

    /// Fails with the first error of a service that cannot be read, if there is one.
    pub(crate) fn require_all(&mut self) -> Result<(), Error> {
        self.0.iter_mut().find_map(|configured| configured.refused.take()).map_or(Ok(()), Err)
    }

    /// Requests what a run has to know of the services before it is recorded. A failure of one does not keep the others
    /// from being read.
    ///
    /// # Errors
    /// The first service's, when no service can be read.
    pub(crate) async fn prepare(&mut self) -> Result<(), Error> {
        for ConfiguredService { reader, refused } in &mut self.0 {
            if refused.is_none() {
                *refused = reader.prepare().await.err();
            }
        }
        match self.0.iter().all(|configured| configured.refused.is_some()) {
            true => self.require_all(),
            false => Ok(()),
        }
    }

    /// A barrier at which these services wait for each other.
    pub(crate) fn restart_barrier(&self) -> RestartBarrier {
        RestartBarrier::new(self.readers().map(|reader| reader.service()))
    }

    /// Reads the services that accepted the sign-in. They have limits of their own: none waits for another. When the
    /// lake fails, all of them stop. Whatever still goes on when the grace period of a stop is over is cancelled: that
    /// leaves the lake as a kill does, at the last commits. Returns those that were given up.
    pub(crate) async fn read(&mut self, run: &RunContext, restart: &Restart) -> Vec<EndedEarly> {
        let reading = self.0.iter_mut().map(|ConfiguredService { reader, refused }| async move {
            let result = match refused.take() {
                Some(error) => Err(error),
                None => tokio::select! {
                    biased;
                    result = reader.read(run, restart) => result,
                    () = run.shutdown.grace_period_over() => {
                        run.note_aborted().await;
                        Ok(())
                    }
                },
            };
            let service = reader.service();
            // A service that did not get as far as its plan has nothing that the others would have to wait for.
            run.restart_barrier.declare(service, false);
            let error = result.err()?;
            if let Error::Service(ServiceError::Stopped) = &error {
                run.note_shutdown().await;
                return None;
            }
            if let Error::Lake(_) = &error {
                run.shutdown.request();
            }
            Some(EndedEarly { service, error })
        });
        join_all(reading).await.into_iter().flatten().collect()
    }

    /// Estimates what a run would request from each service.
    pub(crate) async fn estimate(&self, context: &PlanContext<'_>) -> Result<Vec<ServiceEstimate>, Error> {
        try_join_all(self.readers().map(|reader| reader.estimate(context))).await
    }

    /// Tries what a run needs of the services. A failure of one does not keep the others from being tried; that of the
    /// only one is returned.
    pub(crate) async fn check(&self, found: &mut dyn FnMut(Finding)) -> Result<(), Error> {
        for reader in self.readers() {
            match reader.check(found).await {
                Err(error) if self.0.len() > 1 => found(Finding::ServiceFailed { service: reader.service(), error }),
                checked => checked?,
            }
        }
        Ok(())
    }

    /// The time by the clock of the first service that can be reached.
    pub(crate) async fn service_time(&self) -> Option<Instant> {
        for reader in self.readers() {
            if let Ok(time) = reader.service_time().await {
                return Some(time);
            }
        }
        None
    }

    /// What each identity did, of the services that several of them read.
    pub(crate) fn identities(&self) -> Vec<IdentityReport> {
        let of_reader = |reader: &dyn ServiceReader| {
            let service = reader.service();
            reader.identities().into_iter().map(move |usage| IdentityReport {
                service,
                name: usage.name,
                requests: usage.meter.requests,
                throttled_seconds: usage.meter.throttled_seconds,
                ended: usage.ended,
            })
        };
        self.readers().flat_map(of_reader).collect()
    }

    /// What was used of the services together.
    pub(crate) fn meter(&self) -> Meter {
        self.readers().map(|reader| reader.meter()).fold(Meter::default(), |sum, meter| Meter {
            requests: sum.requests + meter.requests,
            throttled_seconds: sum.throttled_seconds + meter.throttled_seconds,
        })
    }
}
