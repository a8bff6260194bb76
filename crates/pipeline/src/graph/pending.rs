//! Histories that are read and not committed yet: rows of many users, and how their slices ended.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use copilot_lake_decoder::{DecodedInteractions, Reject, Revision, reject_batch};
use copilot_lake_tables::{AI_INTERACTION, INTERACTION_CHILDREN, Instant, REJECTED_RECORD, Table};
use copilot_lake_writer::{Changes, Lake, MergeMode};
use futures::future::try_join_all;

use super::bundle::Bundle;
use super::ended_slice::EndedSlice;
use super::write_step::WriteStep;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::rejects::RejectParents;
use crate::ledger::slice_row::SliceCounts;
use crate::received::check_decoded;
use crate::replay::archive;
use crate::replay::graph_archive::HistoryArchive;
use crate::report::SliceStatus;
use crate::reread::reread;
use crate::run::context::RunContext;

/// The time until the first commit of a run; it doubles from one commit to the next.
const FIRST_COMMIT: Duration = Duration::from_secs(1);
/// The longest time between commits: a killed run repeats no more than this.
const LAST_COMMIT: Duration = Duration::from_secs(5 * 60);
/// The most rows that are pending.
const ROWS: u64 = 500_000;
/// Reasons that a report lists one by one.
const REASONS: usize = 20;

/// Histories that are committed together.
pub(crate) struct PendingHistories<'s> {
    run: &'s RunContext,
    mode: MergeMode,
    archive: HistoryArchive,
    interactions: Changes,
    children: Vec<(&'static Table, Changes)>,
    rejected: Changes,
    outcomes: Vec<EndedSlice>,
    /// Later versions of rows, each key once: they go into the commit after the next.
    deferred: Vec<(DecodedInteractions, Instant)>,
    deferred_keys: HashSet<u64>,
    rows: u64,
    wait: Duration,
    due: tokio::time::Instant,
    /// How many slices had each reason.
    reasons: BTreeMap<(SliceStatus, String), u64>,
}

impl<'s> PendingHistories<'s> {
    /// `mode`: how rows join those of the lake.
    pub(crate) fn new(run: &'s RunContext, mode: MergeMode) -> Self {
        let lake = &run.lake;
        Self {
            mode,
            archive: HistoryArchive::default(),
            interactions: lake.changes(&AI_INTERACTION, mode),
            children: children(lake, mode),
            rejected: lake.changes(&REJECTED_RECORD, mode),
            outcomes: Vec::new(),
            deferred: Vec::new(),
            deferred_keys: HashSet::new(),
            rows: 0,
            wait: FIRST_COMMIT,
            due: tokio::time::Instant::now() + FIRST_COMMIT,
            reasons: BTreeMap::new(),
            run,
        }
    }

    /// When the next commit is due.
    pub(crate) fn next_commit(&self) -> tokio::time::Instant {
        self.due
    }

    /// Whether the next commit is due now.
    pub(crate) fn is_due(&self) -> bool {
        self.rows >= ROWS || tokio::time::Instant::now() >= self.due
    }

    /// Adds rows that were decoded together.
    pub(crate) async fn push_bundle(&mut self, bundle: Bundle) -> Result<(), Error> {
        let Bundle { decoded, extracted_at, throttled_seconds, raw, .. } = bundle;
        self.archive.push(self.run, raw, extracted_at).await?;
        let rows = decoded.iter().map(|part| part.rows).sum();
        let omitted: u64 = decoded.iter().map(|part| part.omitted).sum();
        let batches = decoded.iter().flat_map(|part| &part.batches);
        let interactions = batches.filter(|(table, ..)| table.name == AI_INTERACTION.name);
        let kept: u64 = interactions.map(|(_, _, batch)| batch.num_rows() as u64).sum();
        check_decoded(&AI_INTERACTION, rows, kept + omitted)?;
        for part in decoded {
            match WriteStep::decide(&part.revision, &self.deferred_keys) {
                WriteStep::Now => {
                    self.push(part, extracted_at).await?;
                    continue;
                }
                WriteStep::Deferred => {}
                WriteStep::CommitFirst => self.flush().await?,
            }
            if let Revision::Later(keys) = &part.revision {
                self.deferred_keys.extend(keys);
            }
            self.deferred.push((part, extracted_at));
        }
        if rows > 0 {
            (self.run.observe)(&Event::Page { table: AI_INTERACTION.name, rows, throttled_seconds });
        }
        Ok(())
    }

    async fn push(&mut self, decoded: DecodedInteractions, at: Instant) -> Result<(), Error> {
        let (rejects, run_id) = (&self.run.rejects, &self.run.run_id);
        let mut refused: BTreeMap<&str, (&'static Table, Vec<Reject>)> = BTreeMap::new();
        for (table, reject) in decoded.rejects {
            refused.entry(table.name).or_insert_with(|| (table, vec![])).1.push(reject);
        }
        for (table, refused) in refused.into_values() {
            self.rejected.push(None, reject_batch(table, &refused, run_id, at)?).await?;
            rejects.learn(table, &refused);
        }
        for (table, week, batch) in decoded.batches {
            if let Some(keys) = rejects.of_rows(table, &batch).await? {
                self.rejected.remove(&keys)?;
            }
            match self.children.iter_mut().find(|(child, _)| child.name == table.name) {
                Some((_, changes)) => changes.push(Some(week), batch).await?,
                None => {
                    self.rows += batch.num_rows() as u64;
                    self.interactions.push(Some(week), batch).await?;
                }
            }
        }
        Ok(())
    }

    /// Adds slices that have ended.
    pub(crate) fn add_ended(&mut self, outcomes: Vec<EndedSlice>) {
        self.outcomes.extend(outcomes);
    }

    /// Commits, and sets when the next commit is due.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        let run = self.run;
        let what = match self.outcomes.len() {
            1 => "1 history".to_owned(),
            histories => format!("{histories} histories"),
        };
        run.commit(AI_INTERACTION.name, what, self.flush()).await?;
        archive::merge_when_due(run, &AI_INTERACTION).await;
        self.wait = (self.wait * 2).min(LAST_COMMIT);
        self.due = tokio::time::Instant::now() + self.wait;
        Ok(())
    }

    /// Completes the archive, then commits the rejects, the rows and the ledger.
    async fn flush(&mut self) -> Result<(), Error> {
        // Before the commit: whatever is in the lake can be replayed.
        self.archive.finish(self.run, self.outcomes.iter().flat_map(EndedSlice::rows)).await?;
        let mut written = self.commit_rows().await?;
        self.deferred_keys.clear();
        let deferred = std::mem::take(&mut self.deferred);
        if !deferred.is_empty() {
            // The versions before them are in the lake now, where these replace them.
            for (part, extracted_at) in deferred {
                self.push(part, extracted_at).await?;
            }
            written += self.commit_rows().await?;
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        self.run.ledger.record_all(&self.run.run_id, outcomes.iter().flat_map(EndedSlice::rows), false).await?;
        self.report(&outcomes, written).await;
        self.rows = 0;
        Ok(())
    }

    /// Commits children first, so that no reader sees a parent without them. Returns how many interactions were new or
    /// changed.
    async fn commit_rows(&mut self) -> Result<u64, Error> {
        let (lake, run_id) = (&self.run.lake, &self.run.run_id);
        let mode = self.mode;
        let interactions = std::mem::replace(&mut self.interactions, lake.changes(&AI_INTERACTION, mode));
        let mut children = std::mem::replace(&mut self.children, children(lake, mode));
        let mut rejected = std::mem::replace(&mut self.rejected, lake.changes(&REJECTED_RECORD, mode));
        let (interactions, existing) = interactions.sort().await?.existing().await?;
        let mut replaced = RejectParents::new();
        for parents in existing {
            self.replace_children(&parents, &mut children, &mut replaced).await?;
        }
        for keys in reread(|| self.run.rejects.keys_below(&replaced)).await? {
            rejected.remove(&keys)?;
        }
        rejected.commit(run_id).await?;
        let children = children
            .into_iter()
            .map(|(table, changes)| async move { changes.commit(run_id).await.map(|committed| (table, committed)) });
        let mut committed = try_join_all(children).await?;
        committed.push((&AI_INTERACTION, interactions.commit(run_id).await?));
        let mut reports = self.run.reports.lock().await;
        let mut written = 0;
        for (table, committed) in committed {
            let report = reports.table(table.name);
            report.rows_written += committed.rows_written;
            report.files_added += committed.files_added as u64;
            written = committed.rows_written;
        }
        Ok(written)
    }

    /// Removes the child rows of interactions that the lake has, unless they are pushed again.
    async fn replace_children(
        &self,
        parents: &RecordBatch,
        children: &mut [(&'static Table, Changes)],
        replaced: &mut RejectParents,
    ) -> Result<(), Error> {
        let key = AI_INTERACTION.key.iter().filter_map(|name| parents.column_by_name(name));
        let parts: Vec<_> = key.map(|column| column.as_string::<i32>()).collect();
        let record_key = |row| parts.iter().map(|part| part.value(row)).collect::<Vec<_>>().join("/");
        let record_keys: Vec<String> = (0..parents.num_rows()).map(record_key).collect();
        for (table, changes) in children {
            changes.remove_within(parents)?;
            self.run.rejects.collect_parents(table, &record_keys, replaced).await?;
        }
        Ok(())
    }

    /// Reports slices that are in the ledger now.
    async fn report(&mut self, outcomes: &[EndedSlice], rows_written: u64) {
        let table = AI_INTERACTION.name;
        let rows = || outcomes.iter().flat_map(EndedSlice::reported);
        let count = |status| rows().filter(|(row, _)| row.status == status).count() as u64;
        let done = count(SliceStatus::Done);
        let (failed, skipped) = (count(SliceStatus::Failed), count(SliceStatus::Skipped));
        let sum = |of: fn(&SliceCounts) -> u64| outcomes.iter().map(|outcome| of(&outcome.row.received)).sum::<u64>();
        let rows_received = sum(|counts| counts.rows);
        {
            let mut reports = self.run.reports.lock().await;
            reports.exempt_skips += outcomes.iter().map(EndedSlice::exempt_skips).sum::<u64>();
            let report = reports.table(table);
            report.slices_done += done;
            report.slices_failed += failed;
            report.slices_skipped += skipped;
            report.pages += sum(|counts| counts.pages);
            report.rejected += sum(|counts| counts.rejected);
            report.rows_received += rows_received;
        }
        if !outcomes.is_empty() {
            (self.run.observe)(&Event::SlicesEnded { table, done, failed, skipped, rows_received, rows_written });
        }
        let mut not_done: BTreeMap<(SliceStatus, &str), u64> = BTreeMap::new();
        for (row, short_reason) in rows().filter(|(row, _)| row.status != SliceStatus::Done) {
            *not_done.entry((row.status, short_reason)).or_default() += 1;
        }
        for ((status, reason), slices) in not_done {
            let known = self.reasons.len();
            let count = self.reasons.entry((status, reason.to_owned())).or_default();
            if *count == 0 && known < REASONS {
                let reason = reason.to_owned();
                (self.run.observe)(&Event::SlicesNotDone { table, status, reason, slices });
            }
            *count += slices;
        }
    }

    /// Adds to the report why slices were not done.
    pub(crate) async fn report_reasons(self) {
        let mut reports = self.run.reports.lock().await;
        let report = reports.table(AI_INTERACTION.name);
        let mut reasons: Vec<_> = self.reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let more = reasons.len().saturating_sub(REASONS);
        let line = |((status, reason), count): ((SliceStatus, String), u64)| match (status.name(), count) {
            (status, 1) => format!("1 user {status}: {reason}"),
            (status, _) => format!("{count} users {status}: {reason}"),
        };
        report.reasons.extend(reasons.into_iter().take(REASONS).map(line));
        if more > 0 {
            report.reasons.push(format!("{more} more reasons are in `extraction_slice`"));
        }
    }
}

/// The changes of the child tables.
fn children(lake: &Lake, mode: MergeMode) -> Vec<(&'static Table, Changes)> {
    INTERACTION_CHILDREN.into_iter().map(|table| (table, lake.changes(table, mode))).collect()
}
