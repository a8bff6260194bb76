//! What the tables of Dataverse need besides the context of the run.

use copilot_lake_extractor::{Dataverse, Environment};

use crate::dataverse::labels::LabelCache;
use crate::dataverse::named_people::NamedPeople;
use crate::dataverse::schema::Schema;
use crate::run::context::RunContext;

/// What the tables of Dataverse need besides the context of the run.
pub(crate) struct DataverseContext<'s> {
    pub(crate) run: &'s RunContext,
    pub(crate) service: Dataverse,
    pub(crate) schema: Schema,
    pub(crate) labels: LabelCache,
    /// The people whom rows of this run name.
    pub(crate) named: NamedPeople,
}

impl<'s> DataverseContext<'s> {
    /// For a run that reads this environment.
    pub(crate) fn new(run: &'s RunContext, service: Dataverse, environment: Environment) -> Self {
        let labels = LabelCache::new(Some(service.clone()));
        Self { run, schema: Schema::new(environment), labels, named: NamedPeople::default(), service }
    }
}
