//! `plan`: what `extract` would fetch, with calls and hours at the documented limits. Changes nothing.

use arrow::array::Array;
use copilot_lake_extractor::Dataverse;
use copilot_lake_tables::{AI_INTERACTION, SYSTEM_USER, Table, Week};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use crate::error::Error;
use crate::graph;
use crate::ledger::{Continued, Ledger};
use crate::left::Left;
use crate::named_files::{self, Gone};
use crate::plan::{self, Frame};
use crate::schema::Schema;
use crate::services::{Services, SignedIn};
use crate::settings::{DataverseJob, Settings};
use crate::whole::Whole;

/// Requests that one identity may make in an hour: 6,000 in five minutes.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/api-limits>
pub const CALLS_PER_HOUR: u64 = 72_000;

/// What `extract` would fetch.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    /// Of Dataverse, per table.
    pub tables: Vec<TableEstimate>,
    /// Of Graph.
    pub graph: Option<GraphEstimate>,
}

/// What `extract` would ask of Graph.
#[derive(Debug, Clone, Default)]
pub struct GraphEstimate {
    /// Users in scope.
    pub users: u64,
    /// Of those whose history is due.
    pub due: u64,
    /// Names in the configuration that the directory does not know.
    pub unknown: u64,
    /// Interactions that the lake has.
    pub rows_in_lake: u64,
    /// Pages of users, at no documented rate.
    pub user_calls: u64,
    /// Pages of histories, at least: as dense as last time, and one of each user who was not read before.
    pub history_calls: u64,
    /// History requests per second, as configured.
    pub requests_per_second: f64,
}

impl GraphEstimate {
    /// Hours at the configured rate, if nothing else were in the way.
    pub fn hours(&self) -> f64 {
        self.history_calls as f64 / self.requests_per_second / 3600.0
    }
}

/// What `extract` would fetch of a table.
#[derive(Debug, Clone, Default)]
pub struct TableEstimate {
    /// The table.
    pub table: &'static str,
    /// Whether the environment does not have it.
    pub absent: bool,
    /// Slices to read.
    pub slices: u64,
    /// Rows that the service says it has; its count may be a day old. None: it does not say.
    pub rows: Option<u64>,
    /// Rows that the lake has.
    pub rows_in_lake: u64,
    /// Pages to read, at least.
    pub page_calls: u64,
    /// Payloads that rows of the lake name and it does not have.
    pub payloads_known: u64,
    /// Payloads of rows that are still to be read, about.
    pub payloads_expected: u64,
}

impl Estimate {
    /// Calls to Dataverse in all.
    pub fn calls(&self) -> u64 {
        self.tables.iter().map(|table| table.page_calls + table.payloads_known + table.payloads_expected).sum()
    }

    /// Hours at the documented limits, if nothing else were in the way.
    pub fn hours(&self) -> f64 {
        self.calls() as f64 / CALLS_PER_HOUR as f64
    }
}

/// Says what `extract` would fetch.
///
/// # Errors
/// Those of the sign-in, of the metadata and of reading the lake.
pub async fn estimate(settings: Settings) -> Result<Estimate, Error> {
    let Settings { lake, lake_options, dataverse, graph, request, .. } = settings;
    let lake = Lake::open(&lake, lake_options).await?;
    let services = Services::new(dataverse.as_ref(), graph.as_ref())?;
    let Some(signed_in) = services.sign_in(dataverse.as_ref(), graph.as_ref()).await? else {
        return Ok(Estimate::default());
    };
    let SignedIn { started_at, dataverse_refused, graph_refused, .. } = signed_in;
    if let Some(error) = dataverse_refused.or(graph_refused) {
        return Err(error);
    }
    let ledger = Ledger::read(&lake).await?;
    let command = request.command("extract");
    let continued = ledger.continued(&command, started_at);
    let (full, window) = (request.full, request.window(continued.now)?);
    let mut estimate = Estimate::default();
    let left = Left::of([]);
    if let (Some(job), Some(service)) = (&dataverse, &services.dataverse) {
        estimate.tables = of_dataverse((job, service), &lake, &ledger, &continued, full).await?;
        left.say(SYSTEM_USER.source_name(), estimate.tables.iter().any(|table| table.slices > 0));
    }
    if let (Some(job), Some(service)) = (&graph, &services.graph) {
        let (continued, last_run, left) = (&continued, ledger.last_run(), &left);
        let walk = graph::Walk { service, job, full, window, lost: None, continued, last_run, left };
        estimate.graph = Some(of_graph(&walk, &lake).await?);
    }
    if let (Some(job), Some(service), Some(anew)) = (&dataverse, &services.dataverse, continued.anew(full))
        && left.is_nothing().await
    {
        estimate.tables = of_dataverse((job, service), &lake, &ledger, &anew, full).await?;
    }
    Ok(estimate)
}

async fn of_graph(walk: &graph::Walk<'_>, lake: &Lake) -> Result<GraphEstimate, Error> {
    let (due, _) = walk.due(lake, None).await?;
    Ok(GraphEstimate {
        users: due.users,
        due: due.tasks.len() as u64,
        unknown: due.unknown.len() as u64,
        rows_in_lake: lake.files(&AI_INTERACTION).await?.iter().map(|file| file.rows).sum(),
        user_calls: due.pages,
        history_calls: due.tasks.iter().map(|task| task.pages_expected).sum(),
        requests_per_second: walk.job.connection.requests_per_second,
    })
}

async fn of_dataverse(
    (job, service): (&DataverseJob, &Dataverse),
    lake: &Lake,
    ledger: &Ledger,
    continued: &Continued,
    full: bool,
) -> Result<Vec<TableEstimate>, Error> {
    let schema = Schema::new(service.environment(&job.tables).await?);
    let totals = service.total_rows(&job.tables).await?;
    let mut estimates = Vec::new();
    for table in &job.tables {
        let mut of_table =
            TableEstimate { table: table.name, rows: totals.get(table.name).copied(), ..Default::default() };
        schema.settle(service, table).await;
        if let Some(selection) = schema.selection(table) {
            let (mut windows, _) = ledger.windows(table, &selection.text()).await;
            windows.retain(|window| !full || continued.runs.contains(&window.run_id));
            let plan = plan::plan(&windows, &Frame::of(job, ledger, continued));
            let oldest = match plan::needs_oldest(&plan) {
                true => service.oldest(table, plan::CREATED).await?,
                false => None,
            };
            let weeks = plan::weekly(table, &plan.first_pass, oldest);
            of_table.slices = (plan.changed.len() + weeks.len()) as u64;
            match of_lake(lake, table, job, &mut of_table).await {
                Err(Error::Lake(error)) if error.stops_table().is_some() => {
                    tracing::warn!(%error, "not everything that the lake has can be counted");
                }
                counted => counted?,
            }
            let left = if plan.first_pass.is_empty() {
                0
            } else if full {
                of_table.rows.unwrap_or_default()
            } else {
                of_table.rows.unwrap_or_default().saturating_sub(of_table.rows_in_lake)
            };
            // Every slice takes a call, and its last page is seldom full.
            of_table.page_calls = of_table.slices + left / u64::from(job.connection.page_size.max(1));
            if job.payloads {
                let share = match share(lake, table).await {
                    Err(Error::Lake(error)) if error.stops_table().is_some() => table.files().count() as f64,
                    share => share?,
                };
                of_table.payloads_expected = (left as f64 * share) as u64;
            }
        } else {
            of_table.absent = true;
        }
        estimates.push(of_table);
    }
    Ok(estimates)
}

/// Counts what the lake has of a table, and which payloads it lacks.
async fn of_lake(
    lake: &Lake,
    table: &'static Table,
    job: &DataverseJob,
    of_table: &mut TableEstimate,
) -> Result<(), Error> {
    of_table.rows_in_lake = lake.files(table).await?.iter().map(|file| file.rows).sum();
    if !job.payloads {
        return Ok(());
    }
    let tables = [table];
    let whole = Whole::read(lake, &tables).await?;
    let missing = named_files::missing(lake, &tables, &whole, &Gone::default()).await?;
    let mut missing = std::pin::pin!(missing);
    while missing.try_next().await?.is_some() {
        of_table.payloads_known += 1;
    }
    Ok(())
}

/// How many Files a row names on average, by the newest week of the lake; one for each File column when there is none.
async fn share(lake: &Lake, table: &'static Table) -> Result<f64, Error> {
    let columns: Vec<_> = table.files().map(|column| column.name).collect();
    let most = columns.len() as f64;
    let Some(week) = lake.weeks(table).await?.last().copied().filter(|week| *week != Week::UNKNOWN) else {
        return Ok(most);
    };
    let (mut rows, mut files) = (0, 0);
    let mut batches = std::pin::pin!(lake.scan(table, Scan { columns, week: Some(week), ..Scan::default() }).await?);
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
        files += batch.columns().iter().map(|column| column.len() - column.null_count()).sum::<usize>();
    }
    Ok(if rows == 0 { most } else { files as f64 / rows as f64 })
}
