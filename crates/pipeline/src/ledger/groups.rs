//! Rows of slices on their way into `extraction_slice`: committed in groups, by time and size; its files are kept few.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use arrow::array::RecordBatch;
use copilot_lake_tables::{AI_INTERACTION, EXTRACTION_RUN, EXTRACTION_SLICE, SYSTEM_USER};
use copilot_lake_writer::{Compaction, Lake, MergeMode};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::time::Instant;
use tracing::warn;

use crate::error::Error;

/// How long the first rows of a run wait for others; the next ones wait twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// What a kill costs at most: slices of this time are read again.
const LAST_WAIT: Duration = Duration::from_secs(60);
/// More rows do not wait.
const ROWS: usize = 10_000;
/// Files of a long run are folded together after so many commits; at its end in any case.
const COMMITS: usize = 16;

/// Which files of a source's slices are folded together. Readers look for the newest row of each user: they have to read
/// little more than the last run wrote. Rows of the services stay apart, so that neither is read for the other.
const SLICES: Compaction = Compaction { week: None, key: None, max_rows: 250_000, few_rows: 1_000, max_files: 256 };
/// The same of `extraction_run`, which is read as a whole.
const RUNS: Compaction = Compaction { max_rows: 1_000_000, ..SLICES };

/// Rows that wait to be committed, by source.
pub(super) struct Groups {
    lake: Lake,
    state: Mutex<State>,
    /// Told when rows begin to wait.
    begun: Notify,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<&'static str, Group>,
    schedule: Schedule,
    /// Keys of rows that were taken.
    taken: HashSet<u64>,
    /// Commits since files were folded together.
    commits: usize,
}

#[derive(Default)]
struct Group {
    batches: Vec<RecordBatch>,
    /// Whether the table may have one of them already.
    may_meet: bool,
}

/// When rows are due that wait.
#[derive(Debug)]
struct Schedule {
    wait: Duration,
    due: Option<Instant>,
    rows: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, due: None, rows: 0 }
    }
}

impl Schedule {
    /// `true`: they are the first ones to wait.
    fn take(&mut self, rows: usize, now: Instant) -> bool {
        let is_first = self.due.is_none();
        self.due.get_or_insert(now + self.wait);
        self.rows += rows;
        is_first
    }

    fn is_due(&self, now: Instant) -> bool {
        self.rows >= ROWS || self.due.is_some_and(|due| due <= now)
    }

    fn committed(&mut self) {
        *self = Self { wait: (self.wait * 2).min(LAST_WAIT), due: None, rows: 0 };
    }
}

impl Groups {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake, state: Mutex::default(), begun: Notify::new() }
    }

    /// Takes rows with these keys. Those that are `known` may be in the table already, of whatever run. `false`: a row with
    /// one of these keys was taken before, which this one replaces.
    pub(super) async fn take(
        &self,
        source: &'static str,
        rows: RecordBatch,
        keys: impl Iterator<Item = u64>,
        known: bool,
        run_id: &str,
    ) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        let mut is_new = true;
        for key in keys {
            is_new &= state.taken.insert(key);
        }
        if state.schedule.take(rows.num_rows(), Instant::now()) {
            self.begun.notify_one();
        }
        let group = state.groups.entry(source).or_default();
        group.may_meet |= known || !is_new;
        group.batches.push(rows);
        if state.schedule.is_due(Instant::now()) {
            self.commit(&mut state, run_id).await?;
        }
        Ok(is_new)
    }

    /// Commits what waits.
    pub(super) async fn flush(&self, run_id: &str) -> Result<(), Error> {
        self.commit(&mut *self.state.lock().await, run_id).await
    }

    /// Does work to its end, and commits rows meanwhile when they have waited long enough.
    pub(super) async fn while_committing<T>(&self, run_id: &str, work: impl Future<Output = T>) -> T {
        let (is_working, mut is_over) = oneshot::channel::<()>();
        let work = async {
            let done = work.await;
            drop(is_working);
            done
        };
        let commits = async {
            loop {
                tokio::select! {
                    _ = &mut is_over => return,
                    () = self.due() => {}
                }
                // Whoever records the next row hears of it, too.
                if let Err(error) = self.flush(run_id).await {
                    warn!(%error, "rows of the ledger wait for the next commit");
                }
            }
        };
        tokio::join!(work, commits).0
    }

    /// Waits until rows that wait are due.
    async fn due(&self) {
        self.begun.notified().await;
        // They may have been committed meanwhile.
        let due = self.state.lock().await.schedule.due;
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
    }

    async fn commit(&self, state: &mut State, run_id: &str) -> Result<(), Error> {
        if state.schedule.due.is_none() {
            return Ok(());
        }
        for group in state.groups.values_mut().filter(|group| !group.batches.is_empty()) {
            let find = if group.may_meet { MergeMode::Upsert } else { MergeMode::Append };
            // If this is given up, or fails, nobody knows whether it was taken.
            group.may_meet = true;
            let mut changes = self.lake.changes(&EXTRACTION_SLICE, find);
            for batch in &group.batches {
                changes.push(None, batch.clone()).await?;
            }
            changes.commit(run_id).await?;
            *group = Group::default();
            state.commits += 1;
        }
        state.schedule.committed();
        if state.commits >= COMMITS {
            self.fold(state, run_id).await;
        }
        Ok(())
    }

    /// Folds small files of slices together.
    pub(super) async fn fold_slices(&self, run_id: &str) {
        self.fold(&mut *self.state.lock().await, run_id).await;
    }

    async fn fold(&self, state: &mut State, run_id: &str) {
        state.commits = 0;
        for source in [SYSTEM_USER.source_name(), AI_INTERACTION.source_name()] {
            let of = Compaction { key: Some(("source", source)), ..SLICES };
            // The ledger is as good without it.
            if let Err(error) = self.lake.compact(&EXTRACTION_SLICE, &of, run_id).await {
                warn!(%error, "files of the ledger were not folded together");
            }
        }
    }

    /// Folds small files of runs together.
    pub(super) async fn fold_runs(&self, run_id: &str) {
        if let Err(error) = self.lake.compact(&EXTRACTION_RUN, &RUNS, run_id).await {
            warn!(%error, "files of `extraction_run` were not folded together");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_due_by_time_and_by_size() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!schedule.is_due(after(1_000)), "nothing waits");
        assert!(schedule.take(1, now));
        assert!(!schedule.take(1, after(1)), "the first one's time counts");
        assert!(!schedule.is_due(now) && schedule.is_due(after(1)));
        schedule.committed();
        assert!(schedule.take(1, after(2)));
        assert!(!schedule.is_due(after(3)) && schedule.is_due(after(4)), "twice as long");
        schedule.take(ROWS, after(2));
        assert!(schedule.is_due(after(2)));
        (0..20).for_each(|_| schedule.committed());
        schedule.take(1, now);
        assert!(!schedule.is_due(after(59)) && schedule.is_due(after(60)), "no longer than a minute");
    }
}
