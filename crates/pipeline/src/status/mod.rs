//! `status`: how fresh and complete a lake is, from its logs and its ledger.
//!
//! Makes no request to a service, takes no lock and writes nothing. Of the tables only the logs are read, of the ledger the
//! columns that are needed: all slices of Dataverse, and of each user the newest ones.

mod failures;
mod lake_status;
mod ledger_row;
mod payload_status;
mod range_set;
mod run_history;
mod table_slices;
mod user_slices;

use std::collections::BTreeMap;

use copilot_lake_tables::{AI_INTERACTION, EXTRACTION_SLICE, Instant, Service, TABLES, Table};
use copilot_lake_writer::{Lake, Remedy, Scan, SmallFileLimits};
use futures::TryStreamExt as _;

pub use self::lake_status::{
    FailureGroup, Freshness, LakeStatus, OpenFailures, PayloadStatus, RunStatus, StatusOptions, TableStatus, UserCounts,
};

use self::failures::Reasons;
use self::run_history::{RunHistory, seconds_between};
use self::table_slices::TableSlices;
use self::user_slices::UserSlices;
use crate::error::Error;
use crate::payloads::complete_weeks::RecordedWeeks;
use crate::reread::reread;
use crate::views::recorded_views::RecordedViews;

/// Users without a slice within this time before the newest one are not in scope, even if no run was complete since.
const IN_SCOPE_SECONDS: i64 = 7 * Instant::DAY_SECONDS;

/// The start of a run and the end of a slice may be of the clocks of two services, which differ by this much at most.
const CLOCKS_DIFFER_SECONDS: i64 = 3600;

/// Finds out how fresh and complete the lake is. `now` is the time by which ages are given. A table that cannot be used is
/// named.
///
/// # Errors
/// Reading the ledger or the runs.
pub async fn status(lake: &Lake, options: StatusOptions, now: Instant) -> Result<LakeStatus, Error> {
    reread(|| read_status(lake, options, now)).await
}

async fn read_status(lake: &Lake, options: StatusOptions, now: Instant) -> Result<LakeStatus, Error> {
    let runs = RunHistory::read(lake).await?;
    let mut slices = BTreeMap::new();
    for service in Service::ALL {
        match service.has_slices_of_users() {
            true => slices.extend(user_slices_status(lake, service, &runs).await?),
            false => slices.extend(table_slices_status(lake, service).await?),
        }
    }
    let recorded = if options.payloads { Some(RecordedWeeks::read(lake).await?) } else { None };
    let views = match options.views {
        Some(definition) => Some(RecordedViews::read(lake, definition).await?),
        None => None,
    };
    let mut tables = Vec::new();
    for table in TABLES.iter().copied() {
        let known = slices.remove(table.name);
        let (has_slices, mut status) = (known.is_some(), known.unwrap_or_default());
        status.table = table.name;
        status.freshness.age_seconds = status.freshness.read_until.map(|until| seconds_between(until, now).max(0));
        match add_files(lake, table, (recorded.as_ref(), has_slices), now, &mut status).await {
            Err(Error::Lake(error)) if error.remedy().is_some() => {
                (status.problem, status.remedy) = (Some(error.to_string()), error.remedy());
            }
            added => added?,
        }
        if let Some(views) = views.as_ref().filter(|_| table.view_of().is_some() && status.problem.is_none()) {
            status.stale_weeks = stale_weeks(lake, views, table).await?;
        }
        if has_slices || status.rows > 0 || status.problem.is_some() || status.stale_weeks > Some(0) {
            tables.push(status);
        }
    }
    Ok(LakeStatus { at: now, last_complete_at: runs.last_complete_at(), tables, runs: runs.shown() })
}

/// The weeks of a view that are older than the rows that it is made from; `None` where a table of them cannot be used.
async fn stale_weeks(lake: &Lake, views: &RecordedViews, view: &'static Table) -> Result<Option<u64>, Error> {
    match views.stale_weeks(lake, view).await.map_err(Error::from) {
        Ok(weeks) => Ok(Some(weeks)),
        Err(Error::Lake(error)) if error.remedy().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds what the log says of a table, and how complete its payloads are.
async fn add_files(
    lake: &Lake,
    table: &'static Table,
    (recorded, has_slices): (Option<&RecordedWeeks>, bool),
    now: Instant,
    status: &mut TableStatus,
) -> Result<(), Error> {
    if table.view_of().is_some() {
        // It may be somebody else's, who named it so.
        lake.check_writable(table).await?;
    }
    let files = lake.files(table).await?;
    status.files = files.len() as u64;
    status.rows = files.iter().map(|file| file.rows).sum();
    status.bytes = files.iter().map(|file| file.size).sum();
    let small = lake.small_files(table, SmallFileLimits::TOLERATED, now).await?;
    status.small_files = small.iter().map(|of_week| of_week.files as u64).sum();
    if has_slices && !lake.has(table).await? {
        status.problem = Some(format!("table {} is missing: the ledger has slices of it", table.name));
        status.remedy = Some(Remedy::Repair);
    }
    if let Some(recorded) = recorded.filter(|_| !files.is_empty() && table.files().next().is_some()) {
        status.payloads = Some(payload_status::payload_status(lake, recorded, table, now).await?);
    }
    Ok(())
}

/// The status of the tables of a service whose slices are no user's.
async fn table_slices_status(lake: &Lake, service: Service) -> Result<BTreeMap<String, TableStatus>, Error> {
    let (mut tables, mut reasons) = (BTreeMap::<String, TableSlices>::new(), Reasons::default());
    let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, scan(service)).await?);
    while let Some(batch) = batches.try_next().await? {
        for row in ledger_row::rows(&batch).filter(|row| row.source == service.name()) {
            match tables.get_mut(row.table) {
                Some(slices) => slices.push(&row, &mut reasons),
                None => tables.entry(row.table.to_owned()).or_default().push(&row, &mut reasons),
            }
        }
    }
    let status = |(table, slices): (String, TableSlices)| {
        let (freshness, open) = slices.finish(&reasons);
        (table, TableStatus { freshness, open, ..TableStatus::default() })
    };
    Ok(tables.into_iter().map(status).collect())
}

/// The status of the table whose slices are users' own. Files are opened until they hold no user in scope.
async fn user_slices_status(
    lake: &Lake,
    service: Service,
    runs: &RunHistory,
) -> Result<Option<(String, TableStatus)>, Error> {
    let (mut slices, mut reasons) = (UserSlices::default(), Reasons::default());
    let since = |slices: &UserSlices| {
        let recent = slices.newest().map(|newest| newest.plus_seconds(-IN_SCOPE_SECONDS));
        recent.max(runs.complete_since(slices.runs()).map(|start| start.plus_seconds(-CLOCKS_DIFFER_SECONDS)))
    };
    let mut files = std::pin::pin!(lake.scan_files(&EXTRACTION_SLICE, scan(service)).await?);
    while let Some(mut file) = files.try_next().await? {
        let is_old = |newest| since(&slices).is_some_and(|since| newest < since);
        if file.newest.is_some_and(is_old) {
            break;
        }
        while let Some(batch) = file.batches.try_next().await? {
            let of_service =
                |row: &ledger_row::LedgerRow<'_>| row.source == service.name() && row.table == AI_INTERACTION.name;
            ledger_row::rows(&batch).filter(of_service).for_each(|row| slices.push(&row, &mut reasons));
        }
    }
    let Some(since) = since(&slices) else { return Ok(None) };
    let (freshness, open, users) = slices.finish(since, &reasons);
    let status = TableStatus { freshness, open, users: Some(users), ..TableStatus::default() };
    Ok(Some((AI_INTERACTION.name.to_owned(), status)))
}

/// The rows of a service.
fn scan(service: Service) -> Scan {
    let columns = ledger_row::COLUMNS.into_iter().chain([ledger_row::DONE_UNTIL]).collect();
    Scan { columns, key: Some(("source", service.name())), ..Scan::default() }
}
