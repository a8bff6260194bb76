//! What a run would request from Dataverse, with calls and hours at the documented limits.

use arrow::array::Array;
use copilot_lake_extractor::{Dataverse, Selection};
use copilot_lake_tables::{Instant, Service, Table};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use crate::dataverse::plan::{self, PlanInput, SlicePlan};
use crate::dataverse::schema::Schema;
use crate::error::Error;
use crate::ledger::runs::Restart;
use crate::ledger::windows::{CREATED, TRACKING};
use crate::payloads::complete_weeks::{CompleteWeeks, RecordedWeeks};
use crate::payloads::named_files::{self, ClearedFiles, RetryMissing};
use crate::reread::reread;
use crate::run::plan_context::PlanContext;
use crate::service_estimate::{EstimatePart, ServiceEstimate, SharedCalls};
use crate::settings::{DataverseJob, Deletes};

/// Requests that one identity may make in an hour: 6,000 in five minutes.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/api-limits>
const CALLS_PER_HOUR: u64 = 72_000;

/// What the service takes for a payload: an assumption. Its time counts in full, in batches too.
const PAYLOAD_SECONDS: f64 = 0.04;

/// Seconds of the service's time that one identity may use in a second: 1,200 in five minutes.
const SECONDS_PER_SECOND: f64 = 4.0;

/// Calls that every run makes: for the identity, the metadata, and people who are new or changed.
const OTHER_CALLS: u64 = 4;

/// Rows of the lake that are sampled for how many Files a row names.
const SAMPLE: usize = 10_000;

/// What `extract` would request from Dataverse.
#[derive(Debug, Clone, Default)]
pub(super) struct DataverseEstimate {
    /// Per table.
    tables: Vec<TableEstimate>,
    /// Calls for no single table: for the identity, the metadata, and the people whom rows name.
    other_calls: u64,
    /// The identities that make the calls.
    shared: SharedCalls,
}

/// What `extract` would fetch of a table.
#[derive(Debug, Clone, Default)]
struct TableEstimate {
    /// The table.
    table: &'static str,
    /// Whether the environment does not have it.
    absent: bool,
    /// Slices to read.
    slices: u64,
    /// Rows of the service according to its own count, which may be a day old; `None` when it gives none.
    rows: Option<u64>,
    /// Rows that the lake has.
    rows_in_lake: u64,
    /// Pages to read, approximately.
    page_calls: u64,
    /// Payloads that rows of the lake name and it does not have, or that are requested again.
    payloads_known: u64,
    /// Payloads of rows that are still to be read, approximately.
    payloads_expected: u64,
}

impl DataverseEstimate {
    /// All calls.
    fn calls(&self) -> u64 {
        self.other_calls + self.tables.iter().map(|table| table.page_calls + table.payload_calls()).sum::<u64>()
    }

    /// What the service's limits need: of calls, or of its own time for payloads, which counts in full in a batch.
    fn seconds(&self) -> f64 {
        let payloads: u64 = self.tables.iter().map(|table| table.payloads_known + table.payloads_expected).sum();
        let of_calls = self.calls() as f64 / CALLS_PER_HOUR as f64 * 3600.0;
        of_calls.max(payloads as f64 * PAYLOAD_SECONDS / SECONDS_PER_SECOND) / self.shared.count()
    }

    pub(super) fn describe(&self) -> ServiceEstimate {
        use EstimatePart::{Counted, Number, Seconds};
        let titles = ["TABLE", "SLICES", "ROWS", "IN LAKE", "PAGES", "PAYLOADS"].map(EstimatePart::text).to_vec();
        let calls = self.calls();
        let mut estimate = ServiceEstimate {
            table: std::iter::once(titles).chain(self.tables.iter().map(TableEstimate::describe)).collect(),
            text: vec![
                EstimatePart::text("\n"),
                Counted(calls, "call"),
                EstimatePart::text(", "),
                Seconds(self.seconds()),
                EstimatePart::text(" at "),
                Number(CALLS_PER_HOUR),
                EstimatePart::text(
                    " calls an hour and 40 ms a payload. The service's counts may be a day old; payloads of rows\nthat are still to be read \
                     are estimated.\n",
                ),
            ],
        };
        estimate.text.extend(self.shared.describe(calls));
        estimate
    }
}

impl TableEstimate {
    /// Calls for payloads: the first ones are requested singly, as many as are on their way before enough of them can be
    /// compared with batches, and those of later calls in batches.
    fn payload_calls(&self) -> u64 {
        const SINGLE: u64 = 50;
        const IN_A_BATCH: u64 = 25;
        let payloads = self.payloads_known + self.payloads_expected;
        payloads.min(SINGLE) + payloads.saturating_sub(SINGLE).div_ceil(IN_A_BATCH)
    }

    fn describe(&self) -> Vec<EstimatePart> {
        use EstimatePart::Number;
        let rows = match (self.absent, self.rows) {
            (true, _) => EstimatePart::text("no such table"),
            (false, Some(rows)) => Number(rows),
            (false, None) => EstimatePart::text("unknown"),
        };
        let payloads = self.payloads_known + self.payloads_expected;
        let name = EstimatePart::text(self.table);
        vec![name, Number(self.slices), rows, Number(self.rows_in_lake), Number(self.page_calls), Number(payloads)]
    }
}

/// Estimates what a run would request.
pub(super) async fn estimate_dataverse(
    service: &Dataverse,
    job: &DataverseJob,
    context: &PlanContext<'_>,
) -> Result<DataverseEstimate, Error> {
    let mut tables = estimate_tables(service, job, context, context.restart).await?;
    if let Some(fresh) = context.restart.fresh(context.full) {
        context.restart_barrier.declare(Service::Dataverse, tables.iter().any(|table| table.slices > 0));
        if context.restart_barrier.nothing_pending().await {
            tables = estimate_tables(service, job, context, &fresh).await?;
        }
    }
    Ok(DataverseEstimate { tables, other_calls: OTHER_CALLS, shared: SharedCalls::new(service.identities()) })
}

async fn estimate_tables(
    service: &Dataverse,
    job: &DataverseJob,
    context: &PlanContext<'_>,
    restart: &Restart,
) -> Result<Vec<TableEstimate>, Error> {
    let PlanContext { lake, ledger, full, .. } = *context;
    let schema = Schema::new(service.environment(&job.tables).await?);
    let totals = service.total_rows(&job.tables).await?;
    let retry = RetryMissing { full, now: service.service_time().await? };
    let recorded = reread(|| RecordedWeeks::read(lake)).await?;
    let mut estimates = Vec::new();
    for table in &job.tables {
        let mut estimate =
            TableEstimate { table: table.name, rows: totals.get(table.name).copied(), ..Default::default() };
        schema.settle(service, table).await;
        if let Some(selection) = schema.selection(table) {
            let mut windows = ledger.windows(table, &selection.text()).await;
            windows.retain(|window| !full || restart.runs.contains(&window.run_id));
            let mut plan = plan::plan(&windows, &PlanInput::new(job, ledger, restart));
            let known = if full { vec![] } else { ledger.unreadable(table, &selection.text()).await };
            plan.leave_out(&known);
            let needs_oldest = plan::needs_oldest(&plan);
            let oldest = match needs_oldest || job.since.is_some() {
                true => service.oldest(table, CREATED).await?,
                false => None,
            };
            let weeks = plan::weekly(table, &plan.first_pass, oldest.filter(|_| needs_oldest));
            let again = plan::unreadable(table, &known);
            estimate.slices = (plan.changed.len() + weeks.len() + again.len()) as u64;
            match count_in_lake((lake, &recorded), table, job, retry, &mut estimate).await {
                Err(Error::Lake(error)) if error.stops_table().is_some() => {
                    tracing::warn!(%error, "could not count everything that the lake has");
                }
                counted => counted?,
            }
            let rows = rows(&estimate, &plan, (oldest, job.since, restart.now));
            let to_read = if full { rows.first_pass } else { rows.first_pass.min(rows.new) + rows.changed };
            estimate.page_calls = u64::from(needs_oldest) + pages(estimate.slices, to_read, job.connection.page_size);
            let tracks = schema.presence(table).is_some_and(|presence| presence.tracks_changes);
            if job.deletes != Deletes::Ignore && tracks && !full {
                let last = ledger.last_window(table.name, TRACKING).await;
                let keys =
                    if last.is_some_and(|last| last.token.is_some()) { 0 } else { estimate.rows.unwrap_or_default() };
                estimate.page_calls += pages(1, keys, job.connection.page_size);
            }
            if job.payloads && rows.new > 0 {
                let files = schema.selection(table).map(|selection| files(table, &selection)).unwrap_or_default();
                let share = match reread(|| share((lake, service), table, &files)).await {
                    Err(Error::Lake(error)) if error.stops_table().is_some() => files.len() as f64,
                    share => share?,
                };
                estimate.payloads_expected = (rows.new as f64 * share) as u64;
            }
        } else {
            estimate.absent = true;
        }
        estimates.push(estimate);
    }
    Ok(estimates)
}

/// Rows that a run reads.
#[derive(Debug, PartialEq, Eq)]
struct RowEstimate {
    /// In the windows of the first pass.
    first_pass: u64,
    /// Changed rows that the lake does not have.
    changed: u64,
    /// All rows that the lake does not have.
    new: u64,
}

/// Estimates the rows of a plan, as if they had been created evenly since the oldest one.
fn rows(
    estimate: &TableEstimate,
    plan: &SlicePlan,
    (oldest, since, now): (Option<Instant>, Option<Instant>, Instant),
) -> RowEstimate {
    let total = estimate.rows.unwrap_or_default();
    let within = |start: Instant, end: Instant| {
        let oldest = oldest.unwrap_or(now).min(now);
        let covered = (end.min(now).0 - start.max(oldest).0).max(0);
        (total as f64 * covered as f64 / (now.0 - oldest.0).max(1) as f64).round() as u64
    };
    // Without a configured start, all rows.
    let in_scope = since.map_or(total, |since| within(since, now));
    let new = in_scope.saturating_sub(estimate.rows_in_lake);
    let first_pass = plan.first_pass.iter().map(|window| within(window.start, window.end)).sum();
    RowEstimate { first_pass, changed: if plan.first_pass.is_empty() { new } else { 0 }, new }
}

/// Estimates the pages of slices with so many rows: at least one each, and the last one is seldom full.
fn pages(slices: u64, rows: u64, page_size: u32) -> u64 {
    let full = rows / u64::from(page_size.max(1));
    slices + full - slices.min(full) / 2
}

/// The File columns that are requested.
fn files(table: &'static Table, selection: &Selection) -> Vec<&'static str> {
    table.files().filter(|column| selection.contains(column.wire)).map(|column| column.name).collect()
}

/// Counts the rows of a table in the lake, and the payloads that it lacks.
async fn count_in_lake(
    (lake, recorded): (&Lake, &RecordedWeeks),
    table: &'static Table,
    job: &DataverseJob,
    retry: RetryMissing,
    estimate: &mut TableEstimate,
) -> Result<(), Error> {
    estimate.rows_in_lake = lake.files(table).await?.iter().map(|file| file.rows).sum();
    if !job.payloads {
        return Ok(());
    }
    let tables = [table];
    let complete = match retry.full {
        true => CompleteWeeks::default(),
        false => CompleteWeeks::read(lake, recorded, &tables).await?,
    };
    let files = named_files::files_to_fetch(lake, &tables, &complete, &ClearedFiles::default(), retry).await?;
    let mut files = std::pin::pin!(files);
    while files.try_next().await?.is_some() {
        estimate.payloads_known += 1;
    }
    Ok(())
}

/// The average number of Files that a row names in these columns: in the newest weeks of the lake, else on a page of
/// the service; one per column when there are no rows.
async fn share(
    (lake, service): (&Lake, &Dataverse),
    table: &'static Table,
    columns: &[&'static str],
) -> Result<f64, Error> {
    // Without columns the scan would read all of them.
    if columns.is_empty() {
        return Ok(0.0);
    }
    let (mut rows, mut files) = (0, 0);
    for week in lake.weeks(table).await?.into_iter().rev() {
        let scan = Scan { columns: columns.to_vec(), week: Some(week), ..Scan::default() };
        let mut batches = std::pin::pin!(lake.scan(table, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
            files += batch.columns().iter().map(|column| column.len() - column.null_count()).sum::<usize>();
        }
        if rows >= SAMPLE {
            break;
        }
    }
    if rows == 0 {
        (rows, files) = service.count_files(table, columns).await?;
    }
    Ok(if rows == 0 { columns.len() as f64 } else { files as f64 / rows as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::windows::BEGINNING;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    #[test]
    fn rows_are_those_of_the_windows_that_the_lake_does_not_have() {
        let (oldest, now) = (Some(at("2025-01-01")), at("2025-01-11"));
        let of = |rows, rows_in_lake| TableEstimate { rows: Some(rows), rows_in_lake, ..TableEstimate::default() };
        let plan = |first_pass| SlicePlan { first_pass, ..SlicePlan::default() };
        let all = plan(vec![BEGINNING..now]);
        assert_eq!(
            rows(&of(1_000, 0), &all, (oldest, None, now)),
            RowEstimate { first_pass: 1_000, changed: 0, new: 1_000 }
        );
        let since = Some(at("2025-01-06"));
        let half = plan(vec![at("2025-01-06")..now]);
        assert_eq!(
            rows(&of(1_000, 0), &half, (oldest, since, now)),
            RowEstimate { first_pass: 500, changed: 0, new: 500 }
        );
        let done = plan(vec![]);
        assert_eq!(
            rows(&of(1_000, 990), &done, (None, None, now)),
            RowEstimate { first_pass: 0, changed: 10, new: 10 }
        );
        // What is older than the start that is configured is never read.
        assert_eq!(
            rows(&of(1_000, 500), &done, (oldest, since, now)),
            RowEstimate { first_pass: 0, changed: 0, new: 0 }
        );
        assert_eq!(rows(&of(0, 0), &all, (None, None, now)), RowEstimate { first_pass: 0, changed: 0, new: 0 });
    }

    #[test]
    fn says_calls_and_hours() {
        let known = TableEstimate {
            table: "t",
            slices: 13,
            rows: Some(1_000_000),
            page_calls: 213,
            payloads_known: 7,
            payloads_expected: 287_780,
            ..TableEstimate::default()
        };
        let absent = TableEstimate { table: "u", absent: true, ..TableEstimate::default() };
        let ServiceEstimate { table, text } =
            DataverseEstimate { tables: vec![known, absent], ..DataverseEstimate::default() }.describe();
        use EstimatePart::{Counted, Number, Seconds};
        let numbers = [13, 1_000_000, 0, 213, 287_787].map(Number);
        assert_eq!((table.len(), &table[1][1..]), (3, &numbers[..]));
        assert_eq!(table[2][2], EstimatePart::text("no such table"));
        // 50 Files singly, the others in batches of 25; the service takes 40 ms for each, four at a time.
        let calls = 213 + 50 + 287_737_u64.div_ceil(25);
        assert_eq!((&text[1], &text[3]), (&Counted(calls, "call"), &Seconds(287_787.0 * 0.04 / 4.0)));
    }

    #[test]
    fn a_slice_has_a_page_at_least() {
        assert_eq!((pages(57, 2_000, 100), pages(6, 0, 5_000), pages(4, 1_000_000, 5_000)), (67, 6, 202));
        assert_eq!(pages(0, 0, 0), 0);
    }
}
