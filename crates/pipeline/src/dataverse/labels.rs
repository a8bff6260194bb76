//! Labels that the service's metadata gives: asked for when a code turns up that the catalogue does not know.

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_extractor::Dataverse;
use copilot_lake_tables::{Labels, Table};
use tokio::sync::Mutex;
use tracing::warn;

/// The labels of each table, asked for at most once in a run.
pub(crate) struct LabelCache {
    /// None: nothing more can be asked, as in a replay.
    service: Option<Dataverse>,
    known: Mutex<BTreeMap<&'static str, Arc<Labels>>>,
}

impl LabelCache {
    pub(crate) fn new(service: Option<Dataverse>) -> Self {
        Self { service, known: Mutex::default() }
    }

    /// What is known of a table's labels; empty before they were needed.
    pub(crate) async fn known(&self, table: &'static Table) -> Arc<Labels> {
        self.known.lock().await.get(table.name).cloned().unwrap_or_default()
    }

    /// Takes in labels from elsewhere.
    pub(crate) async fn learn(&self, table: &'static Table, labels: Labels) {
        self.known.lock().await.insert(table.name, Arc::new(labels));
    }

    /// The labels for a table of which a code has none in those that were `used`; `None` when nothing more is to be had.
    pub(crate) async fn more(&self, table: &'static Table, used: &Arc<Labels>) -> Option<Arc<Labels>> {
        let service = self.service.as_ref()?;
        let mut known = self.known.lock().await;
        if let Some(labels) = known.get(table.name) {
            // Another slice may have asked meanwhile.
            return (!Arc::ptr_eq(labels, used)).then(|| Arc::clone(labels));
        }
        let labels = match service.labels(table).await {
            Ok(labels) => labels,
            Err(error) => {
                // A code without a label is a complete row all the same.
                warn!(table = table.name, %error, "labels could not be read from the metadata");
                Labels::default()
            }
        };
        let labels = Arc::new(labels);
        known.insert(table.name, Arc::clone(&labels));
        Some(labels)
    }
}
