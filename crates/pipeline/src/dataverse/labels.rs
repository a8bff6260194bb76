//! Labels from the service's metadata: requested when a code turns up that the choice sets do not know.

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_extractor::Dataverse;
use copilot_lake_tables::{Labels, Table};
use tokio::sync::Mutex;
use tracing::warn;

/// The labels of each table, requested at most once in a run.
pub(crate) struct LabelCache {
    /// `None` in a replay: nothing can be requested.
    service: Option<Dataverse>,
    known: Mutex<BTreeMap<&'static str, Arc<Labels>>>,
}

impl LabelCache {
    pub(crate) fn new(service: Option<Dataverse>) -> Self {
        Self { service, known: Mutex::default() }
    }

    /// The labels of a table that are known so far; empty before any were needed.
    pub(crate) async fn known(&self, table: &'static Table) -> Arc<Labels> {
        self.known.lock().await.get(table.name).cloned().unwrap_or_default()
    }

    /// Adds labels from elsewhere.
    pub(crate) async fn learn(&self, table: &'static Table, labels: Labels) {
        self.known.lock().await.insert(table.name, Arc::new(labels));
    }

    /// The labels of a table, after a code had none among those that were `used`; `None` when there are no others.
    pub(crate) async fn more(&self, table: &'static Table, used: &Arc<Labels>) -> Option<Arc<Labels>> {
        let service = self.service.as_ref()?;
        let mut known = self.known.lock().await;
        if let Some(labels) = known.get(table.name) {
            // Another slice may have requested them meanwhile.
            return (!Arc::ptr_eq(labels, used)).then(|| Arc::clone(labels));
        }
        let labels = match service.labels(table).await {
            Ok(labels) => labels,
            Err(error) => {
                // A row without a label is still complete.
                warn!(table = table.name, %error, "could not read labels from the metadata");
                Labels::default()
            }
        };
        let labels = Arc::new(labels);
        known.insert(table.name, Arc::clone(&labels));
        Some(labels)
    }
}
