//! What computes queries: this process, or workers.

use std::collections::BTreeMap;

use anyhow::Result;
use copilot_lake_pipeline::current_views;
use copilot_lake_query::{Error, Session, view_definition};
use copilot_lake_tables::Table;
use copilot_lake_writer::Lake;

use crate::args::WorkersArgs;
use crate::config::Config;
use crate::output::console::Console;

/// What computes the queries of a command: this process by default.
#[derive(Default)]
pub(crate) struct Engine {
    #[cfg(feature = "workers")]
    workers: Option<copilot_lake_query::Workers>,
}

impl Engine {
    /// The workers that the flags name, or this process.
    #[cfg(feature = "workers")]
    pub(crate) async fn connect(args: &WorkersArgs, config: &Config, lake: &Lake) -> Result<Self> {
        use crate::config::workers::access;
        use copilot_lake_query::Workers;

        if args.workers.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { workers: Some(Workers::connect(args.workers.clone(), lake, &access(config)?).await?) })
    }

    #[cfg(not(feature = "workers"))]
    pub(crate) async fn connect(_: &WorkersArgs, _: &Config, _: &Lake) -> Result<Self> {
        Ok(Self::default())
    }

    /// A session over the lake as it is now. Of these materialized views, which its queries may read, it reads the stored
    /// rows where they are current.
    pub(crate) async fn open(
        &self,
        lake: &Lake,
        params: &BTreeMap<String, String>,
        views: &[&'static Table],
    ) -> Result<Session, Error> {
        let current = current_views(lake, views, view_definition).await;
        let session = Session::open(lake, params, &current).await?;
        #[cfg(feature = "workers")]
        if let Some(workers) = &self.workers {
            return session.on(workers);
        }
        Ok(session)
    }

    /// Warns of workers whose work others did, and of queries that this process computed.
    pub(crate) fn warn_of_failures(&self, console: &Console) {
        for failure in self.failures() {
            console.warning(&format!("{failure}; the others did its work"));
        }
        let unsupported = self.unsupported();
        match unsupported.len() {
            0 => {}
            1 => console.warning("the workers cannot compute the plan of the query; this process did it"),
            queries => console
                .warning(&format!("the workers cannot compute the plans of {queries} queries; this process did it")),
        }
        for reason in unsupported {
            console.debug(&reason);
        }
    }

    fn failures(&self) -> Vec<Error> {
        #[cfg(feature = "workers")]
        if let Some(workers) = &self.workers {
            return workers.failures();
        }
        Vec::new()
    }

    fn unsupported(&self) -> Vec<String> {
        #[cfg(feature = "workers")]
        if let Some(workers) = &self.workers {
            return workers.unsupported();
        }
        Vec::new()
    }
}
