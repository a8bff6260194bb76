//! What a run needs of Dataverse, tried with the cheapest calls there are.

use copilot_lake_extractor::{AnyFile, Dataverse, Environment, Error as ServiceError, PrivilegeDepth};
use copilot_lake_tables::{Service, Table};

use crate::error::Error;
use crate::finding::Finding;
use crate::settings::{DataverseJob, Deletes};

/// Tries what a run needs of these tables.
pub(super) async fn check_dataverse(
    service: &Dataverse,
    job: &DataverseJob,
    tables: &[&'static Table],
    found: &mut dyn FnMut(Finding),
) -> Result<(), Error> {
    let who = service.sign_in(tables).await?;
    found(Finding::SignedIn { user_id: who.user_id.clone(), organization_id: who.organization_id });
    Finding::of_identities(Service::Dataverse, service.identities()).into_iter().for_each(&mut *found);
    let environment = service.environment(tables).await?;
    if environment.is_assumed() {
        found(Finding::MetadataAssumed);
    }
    // Not every identity may read its own privileges: then the rows have to show it.
    let depths = service.read_depths(&who.user_id).await.ok().filter(|depths| !depths.is_empty());
    for &table in tables {
        let depth = depths.as_ref().map(|depths| depths.get(&table.read_privilege().to_lowercase()).copied());
        check_table(service, &environment, job, (table, depth), found).await;
    }
    Ok(())
}

async fn check_table(
    service: &Dataverse,
    environment: &Environment,
    job: &DataverseJob,
    (table, depth): (&'static Table, Option<Option<PrivilegeDepth>>),
    found: &mut dyn FnMut(Finding),
) {
    let name = table.name;
    let Some(presence) = environment.table(name) else {
        found(Finding::NoTable { table: name });
        return;
    };
    if !presence.lacks.is_empty() {
        found(Finding::NoColumns { table: name, columns: presence.lacks.clone() });
    }
    let has_rows = match service.first_row(table, &presence.selection).await {
        Ok(page) => page.is_some(),
        Err(error) => {
            found(Finding::NotReadable { table: name, error });
            return;
        }
    };
    found(match depth {
        Some(Some(depth)) if depth < PrivilegeDepth::Global => Finding::SomeRows { table: name, depth },
        depth => Finding::Readable { table: name, depth: depth.flatten() },
    });
    let wants_deletes = job.deletes != Deletes::Ignore && table.is_mirror();
    if wants_deletes && !presence.tracks_changes {
        found(Finding::NotTracked { table: name });
    }
    if !job.payloads {
        return;
    }
    let lacks = |column: &str| presence.lacks.contains(&column);
    for column in table.files().map(|column| column.name).filter(|column| !lacks(column)) {
        found(match check_file(service, table, column).await {
            // Secured values are missing from rows, without an error.
            Ok(false) if has_rows && presence.secured.contains(&column) => {
                Finding::FilesNotReadable { table: name, column, error: None }
            }
            Ok(tried) => Finding::FilesReadable { table: name, column, tried },
            Err(error) => Finding::FilesNotReadable { table: name, column, error: Some(error) },
        });
    }
}

/// Requests one payload of a column, without reading it; `false` when there is none.
async fn check_file(service: &Dataverse, table: &'static Table, column: &'static str) -> Result<bool, ServiceError> {
    let AnyFile::At(address) = service.any_file(table, column).await? else { return Ok(false) };
    // `false` too when the row or its File was deleted in between: it was not refused.
    service.has_file(&address).await
}
