//! Pages into the lake: batches on rayon, files, one commit for the rejects and one for the rows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use copilot_lake_decoder::{Decoded, decode_page};
use copilot_lake_extractor::Page;
use copilot_lake_tables::{Instant, Labels, Table, Week};
use copilot_lake_writer::{Changes, Lake, MergeMode};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use crate::cpu;
use crate::dataverse::coverage::Coverage;
use crate::dataverse::labels::LabelCache;
use crate::dataverse::named_people::NamedPeople;
use crate::ledger::rejects::Rejects;
use crate::ledger::row_rejects::RowRejects;
use crate::ledger::slice_row::SliceCounts;
use crate::received::check_decoded;
use crate::settings::Stop;
use crate::slice_error::SliceError;

/// Pages of one slice that are decoded ahead. Other slices keep the cores busy, and every page takes memory.
const DECODED_AHEAD: usize = 1;

/// Writes the pages of one table.
pub(crate) struct Ingest<'a> {
    pub(crate) table: &'static Table,
    /// How rows that the lake has already are found.
    pub(crate) mode: MergeMode,
    pub(crate) lake: &'a Lake,
    pub(crate) run_id: &'a str,
    pub(crate) rejects: &'a Rejects,
    pub(crate) labels: &'a LabelCache,
    /// The columns that the pages cover.
    pub(crate) coverage: Coverage,
    /// Collects the ids of the people whom rows name, where they are read afterwards.
    pub(crate) named: Option<&'a NamedPeople>,
    /// Only rows with one of these ids.
    pub(crate) only: Option<&'a HashSet<String>>,
    pub(crate) stop: &'a Stop,
}

/// A page and when it was received.
pub(crate) type ReceivedPage = (Page, Instant);

impl Ingest<'_> {
    /// Reads pages to the end of the stream. The counts hold what happened even on failure; `each` is called for every
    /// page with its rows and its seconds of throttling.
    pub(crate) async fn read(
        &self,
        pages: impl Stream<Item = Result<ReceivedPage, SliceError>>,
        counts: &mut SliceCounts,
        mut each: impl FnMut(u64, f64),
    ) -> Result<UncommittedSlice<'_>, SliceError> {
        let mut changes = self.lake.changes(self.table, self.mode);
        let mut rejects = RowRejects::new(
            self.lake,
            self.rejects,
            self.table,
            self.mode,
            self.run_id,
            self.coverage.has_known_columns(),
        );
        let decoded = pages.map_ok(|(page, extracted_at)| async move {
            let (requests, throttled) = (page.requests, page.throttled);
            let decoded = self.decode(page, extracted_at).await?;
            Ok((decoded, extracted_at, requests, throttled))
        });
        let mut pages = std::pin::pin!(decoded.try_buffered(DECODED_AHEAD));
        let mut stopped = self.stop.clone();
        let mut unlabelled = false;
        loop {
            let next = tokio::select! {
                next = pages.next() => next,
                // Without a sender nothing can stop the run.
                Ok(_) = stopped.wait_for(|stop| *stop) => return Err(SliceError::Stopped),
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
            let decoded = page.batches.iter().map(|(_, batch)| batch.num_rows() as u64).sum();
            check_decoded(self.table, page.rows, decoded)?;
            let batches = page.batches.into_iter().map(|(week, batch)| Ok((week, self.wanted(batch)?)));
            let batches = batches.collect::<Result<Vec<_>, SliceError>>()?;
            rejects.push(&batches, refused, extracted_at).await?;
            for (week, batch) in batches {
                changes.push(self.partition(week), batch).await?;
            }
            each(rows, throttled);
        }
        if let Some(carry) = self.coverage.carry(self.table, unlabelled) {
            changes.carry(carry);
        }
        Ok(UncommittedSlice { rejects, changes })
    }

    /// Decodes a page, and once more when labels had to be requested first.
    async fn decode(&self, page: Page, extracted_at: Instant) -> Result<Decoded, SliceError> {
        let labels = self.labels.known(self.table).await;
        let decoded = self.decode_with(page.clone(), extracted_at, Arc::clone(&labels)).await?;
        if decoded.unlabelled
            && let Some(labels) = self.labels.more(self.table, &labels).await
        {
            return self.decode_with(page, extracted_at, labels).await;
        }
        Ok(decoded)
    }

    async fn decode_with(&self, page: Page, extracted_at: Instant, labels: Arc<Labels>) -> Result<Decoded, SliceError> {
        let (table, named) = (self.table, self.named.cloned());
        let decoded = cpu::run_on_rayon(move || {
            let decoded = decode_page(table, page.rows(), extracted_at, &labels)?;
            if let Some(named) = named {
                decoded.batches.iter().for_each(|(_, batch)| named.collect(table, batch));
            }
            Ok(decoded)
        });
        decoded.await.map_err(SliceError::Decode)
    }

    fn partition(&self, week: Week) -> Option<Week> {
        self.table.is_partitioned().then_some(week)
    }

    fn wanted(&self, batch: RecordBatch) -> Result<RecordBatch, SliceError> {
        let Some(only) = self.only else { return Ok(batch) };
        let ids = batch.column(self.table.layout().key()[0]).as_string::<i32>();
        let wanted: BooleanArray = ids.iter().map(|id| Some(id.is_some_and(|id| only.contains(id)))).collect();
        filter_record_batch(&batch, &wanted)
            .map_err(|source| copilot_lake_decoder::Error::Schema { table: self.table.name, source }.into())
    }
}

/// The rows of a slice that are read and not committed yet.
pub(crate) struct UncommittedSlice<'a> {
    rejects: RowRejects<'a>,
    changes: Changes,
}

impl UncommittedSlice<'_> {
    /// Commits the rejects, then the rows: a row that is there has its rejects.
    pub(crate) async fn commit(self, run_id: &str, counts: &mut SliceCounts) -> Result<(), SliceError> {
        self.rejects.commit().await?;
        let committed = self.changes.commit(run_id).await?;
        counts.rows_written += committed.rows_written;
        counts.files_added += committed.files_added as u64;
        Ok(())
    }
}
