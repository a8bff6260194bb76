//! The configuration and columns of a table, checked and brought up to date when a run starts.

use std::sync::Arc;

use copilot_lake_tables::{SCHEMA_VERSION, Table};

use crate::delta::instance::Instance;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::maintenance::COMMIT_ATTEMPTS;

/// Refuses a lake of another instance, and one of a newer program.
pub(crate) fn check(table: &'static Table, snapshot: &Snapshot, instance: &Instance) -> Result<(), Error> {
    let configuration = snapshot.metadata.configuration();
    let version = configuration.get(schema::VERSION).and_then(|text| text.parse().ok()).unwrap_or(SCHEMA_VERSION);
    if version > SCHEMA_VERSION {
        return Err(Error::NewerLake { table: table.name, lake: version, known: SCHEMA_VERSION });
    }
    let parts =
        [("organization", schema::ORGANIZATION, &instance.organization), ("tenant", schema::TENANT, &instance.tenant)];
    for (what, key, configured) in parts {
        match (configuration.get(key), configured) {
            (Some(lake), Some(configured)) if !lake.eq_ignore_ascii_case(configured) => {
                return Err(Error::OtherInstance { what, lake: lake.clone(), configured: configured.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds missing columns, and what has become known of the instance.
pub(crate) async fn adapt(log: &Log, mut snapshot: Arc<Snapshot>, instance: &Instance) -> Result<(), Error> {
    for _ in 0..COMMIT_ATTEMPTS {
        let mut configuration = snapshot.metadata.configuration().clone();
        configuration.insert(schema::VERSION.to_owned(), SCHEMA_VERSION.to_string());
        let known = [(schema::ORGANIZATION, &instance.organization), (schema::TENANT, &instance.tenant)];
        for (key, id) in known {
            if let Some(id) = id {
                configuration.entry(key.to_owned()).or_insert_with(|| id.clone());
            }
        }
        let Some(metadata) = schema::changed(log.table, &snapshot.metadata, &configuration)? else { return Ok(()) };
        if log.set_metadata(&snapshot, metadata).await? {
            return Ok(());
        }
        let Some(now) = log.snapshot().await? else { break };
        check(log.table, &now, instance)?;
        snapshot = now;
    }
    Err(Error::Contended { table: log.table.name, attempts: COMMIT_ATTEMPTS })
}
