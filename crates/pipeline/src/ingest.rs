//! Pages into the lake: batches on rayon, files, one commit for the rejects and one for the rows.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use copilot_lake_decoder::{Decoded, decode_page};
use copilot_lake_extractor::Page;
use copilot_lake_tables::{Instant, Labels, Table, Week};
use copilot_lake_writer::{Changes, Lake, MergeMode};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use crate::coverage::Coverage;
use crate::cpu;
use crate::labels::LabelCache;
use crate::rejects::Rejects;
use crate::rejects::of_rows::RowRejects;
use crate::settings::Stop;

/// Pages of one slice that are decoded at the same time: other slices keep the cores busy, and each page takes memory.
const DECODED_AHEAD: usize = 1;

/// What was received and written.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) as_of: Option<Instant>,
    pub(crate) pages: u64,
    pub(crate) rows: u64,
    pub(crate) rows_written: u64,
    pub(crate) files_added: u64,
    pub(crate) rejected: u64,
    pub(crate) requests: u64,
    pub(crate) throttled_seconds: f64,
}

/// Why a slice was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// The run was stopped; the slice leaves no trace.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Service(#[from] copilot_lake_extractor::Error),
    #[error(transparent)]
    Decode(#[from] copilot_lake_decoder::Error),
    #[error(transparent)]
    Lake(#[from] copilot_lake_writer::Error),
    /// An archived page cannot be read.
    #[error("{0}")]
    Archive(String),
}

/// Where the pages of one table go.
pub(crate) struct Ingest<'a> {
    pub(crate) table: &'static Table,
    /// How a row that is there already is found.
    pub(crate) find: MergeMode,
    pub(crate) lake: &'a Lake,
    pub(crate) run_id: &'a str,
    pub(crate) rejects: &'a Rejects,
    pub(crate) labels: &'a LabelCache,
    /// What the pages cover of the table's rows.
    pub(crate) coverage: Coverage,
    /// Takes the ids of the people whom rows name.
    pub(crate) named: &'a Named,
    /// Only rows with one of these ids.
    pub(crate) only: Option<&'a HashSet<String>>,
    pub(crate) stop: &'a Stop,
}

/// A page and when it was received.
pub(crate) type Received = (Page, Instant);

impl Ingest<'_> {
    /// Reads pages to their end. Counts hold what happened even when it fails; `each` is called for every page with its
    /// rows and how many seconds it was throttled.
    pub(crate) async fn read(
        &self,
        pages: impl Stream<Item = Result<Received, NotDone>>,
        counts: &mut Counts,
        mut each: impl FnMut(u64, f64),
    ) -> Result<Ready<'_>, NotDone> {
        let mut changes = self.lake.changes(self.table, self.find);
        let mut rejects =
            RowRejects::new(self.lake, self.rejects, self.table, self.find, self.run_id, self.coverage.has_known());
        let decoded = pages.map_ok(|(page, extracted_at)| async move {
            let (requests, throttled) = (page.requests, page.throttled);
            let decoded = self.decode(page, extracted_at).await?;
            Ok((decoded, extracted_at, requests, throttled))
        });
        let mut decoded = std::pin::pin!(decoded.try_buffered(DECODED_AHEAD));
        let mut stopped = self.stop.clone();
        let mut unlabelled = false;
        loop {
            let next = tokio::select! {
                next = decoded.next() => next,
                // A run whose stop can no longer be told goes on.
                Ok(_) = stopped.wait_for(|stop| *stop) => return Err(NotDone::Stopped),
            };
            let Some(page) = next else { break };
            let (page, extracted_at, requests, throttled) = page?;
            counts.pages += 1;
            counts.rows += page.rows;
            counts.requests += u64::from(requests);
            counts.throttled_seconds += throttled.as_secs_f64();
            let mut refused = page.rejects;
            refused.retain(|reject| {
                reject.column_name.is_empty() || self.only.is_none_or(|only| only.contains(&reject.record_key))
            });
            counts.rejected += refused.len() as u64;
            unlabelled |= page.unlabelled;
            let (rows, throttled) = (page.rows, throttled.as_secs_f64());
            let batches = page.batches.into_iter().map(|(week, batch)| Ok((week, self.wanted(batch)?)));
            let batches = batches.collect::<Result<Vec<_>, NotDone>>()?;
            rejects.take(&batches, refused, extracted_at).await?;
            for (week, batch) in batches {
                changes.push(self.week(week), batch).await?;
            }
            each(rows, throttled);
        }
        if let Some(carry) = self.coverage.carry(self.table, unlabelled) {
            changes.carry(carry);
        }
        Ok(Ready { rejects, changes })
    }

    /// Decodes a page; again when labels have to be asked for first.
    async fn decode(&self, page: Page, extracted_at: Instant) -> Result<Decoded, NotDone> {
        let labels = self.labels.known(self.table).await;
        let decoded = self.decode_with(page.clone(), extracted_at, Arc::clone(&labels)).await?;
        if decoded.unlabelled
            && let Some(labels) = self.labels.more(self.table, &labels).await
        {
            return self.decode_with(page, extracted_at, labels).await;
        }
        Ok(decoded)
    }

    async fn decode_with(&self, page: Page, extracted_at: Instant, labels: Arc<Labels>) -> Result<Decoded, NotDone> {
        let (table, named) = (self.table, self.named.clone());
        let decoded = cpu::run(move || {
            let decoded = decode_page(table, page.rows(), extracted_at, &labels)?;
            for (_, batch) in &decoded.batches {
                named.take_in(table, batch);
            }
            Ok(decoded)
        });
        decoded.await.map_err(NotDone::Decode)
    }

    fn week(&self, week: Week) -> Option<Week> {
        self.table.is_partitioned().then_some(week)
    }

    fn wanted(&self, batch: RecordBatch) -> Result<RecordBatch, NotDone> {
        let Some(only) = self.only else { return Ok(batch) };
        let ids = batch.column(self.table.layout().key()[0]).as_string::<i32>();
        let wanted: BooleanArray = ids.iter().map(|id| Some(id.is_some_and(|id| only.contains(id)))).collect();
        filter_record_batch(&batch, &wanted)
            .map_err(|source| copilot_lake_decoder::Error::Schema { table: self.table.name, source }.into())
    }
}

/// Rows that are read and not yet committed.
pub(crate) struct Ready<'a> {
    rejects: RowRejects<'a>,
    changes: Changes,
}

impl Ready<'_> {
    /// Commits rejects first, then the rows: a row proves that its rejects are there.
    pub(crate) async fn commit(self, run_id: &str, counts: &mut Counts) -> Result<(), NotDone> {
        self.rejects.commit().await?;
        let committed = self.changes.commit(run_id).await?;
        counts.rows_written += committed.rows_written;
        counts.files_added += committed.files_added as u64;
        Ok(())
    }
}

/// The ids of people whom rows name. Clones are the same set.
#[derive(Clone, Default)]
pub(crate) struct Named(Arc<Mutex<HashSet<String>>>);

impl Named {
    /// Adds whom these rows name.
    pub(crate) fn take_in(&self, table: &'static Table, batch: &RecordBatch) {
        let columns: Vec<_> = table.people().filter_map(|column| batch.column_by_name(column.name)).collect();
        if columns.is_empty() {
            return;
        }
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = "";
        for column in columns {
            let column = column.as_string::<i32>();
            for id in (0..column.len()).filter(|row| column.is_valid(*row)).map(|row| column.value(row)) {
                // Neighbours mostly name the same.
                if id != last && !ids.contains(id) {
                    ids.insert(id.to_owned());
                }
                last = id;
            }
        }
    }

    /// Takes what was collected.
    pub(crate) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
