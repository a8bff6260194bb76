//! The queue of rows for `extraction_slice`: committed in groups, by time and size, into few files.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use arrow::array::RecordBatch;
use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, OWN_SOURCE, Service};
use copilot_lake_writer::{Compaction, Lake, MergeMode};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::time::Instant;
use tracing::warn;

use crate::error::Error;

/// How long the first rows of a run wait for others; the time doubles with every commit.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait. Slices that ended within this time are read again after a kill.
const LAST_WAIT: Duration = Duration::from_secs(60);
/// The most rows that wait.
const ROWS: usize = 10_000;
/// Commits after which the files of a long run are compacted; they are at its end in any case.
const COMMITS: usize = 16;

/// How the files of a service's slices are compacted. Readers look for the newest row of each user, and should read
/// little more than the last run wrote. The services have files of their own, so that neither is read for the other.
const SLICES: Compaction = Compaction { week: None, key: None, max_rows: 250_000, few_rows: 1_000, max_files: 256 };
/// How the files of `extraction_run` are compacted, which is read as a whole.
const RUNS: Compaction = Compaction { max_rows: 1_000_000, ..SLICES };

/// How the files of slices are compacted, service by service.
pub(crate) fn slices() -> impl Iterator<Item = Compaction> {
    let sources = Service::ALL.into_iter().map(Service::name).chain([OWN_SOURCE]);
    sources.map(|source| Compaction { key: Some(("source", source)), ..SLICES })
}

/// Rows that wait to be committed, by service.
pub(super) struct CommitQueue {
    lake: Lake,
    state: Mutex<QueueState>,
    /// Notified when the first row begins to wait.
    waiting: Notify,
}

#[derive(Default)]
struct QueueState {
    groups: BTreeMap<&'static str, CommitGroup>,
    schedule: CommitSchedule,
    /// Hashes of the keys of rows that were pushed.
    taken: HashSet<u64>,
    /// Commits since the last compaction.
    commits: usize,
}

#[derive(Default)]
struct CommitGroup {
    batches: Vec<RecordBatch>,
    earlier: EarlierRows,
}

/// Why the table may have rows with the keys of those that wait.
#[derive(Debug, Clone, Copy, Default)]
struct EarlierRows {
    /// The caller knows of some.
    known: bool,
    /// This run has pushed a row with the same key before.
    pushed: bool,
    /// A commit of these rows was attempted: cancelled or failed, it may have happened nevertheless.
    attempted: bool,
}

/// How waiting rows are merged: appended, unless the table may have one of them already.
fn merge_mode(earlier: EarlierRows) -> MergeMode {
    match earlier {
        EarlierRows { known: false, pushed: false, attempted: false } => MergeMode::Append,
        _ => MergeMode::Upsert,
    }
}

/// When the waiting rows are committed.
#[derive(Debug)]
struct CommitSchedule {
    wait: Duration,
    due: Option<Instant>,
    rows: usize,
}

impl Default for CommitSchedule {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, due: None, rows: 0 }
    }
}

impl CommitSchedule {
    /// Returns whether they are the first ones to wait.
    fn add(&mut self, rows: usize, now: Instant) -> bool {
        let is_first = self.due.is_none();
        self.due.get_or_insert(now + self.wait);
        self.rows += rows;
        is_first
    }

    fn is_due(&self, now: Instant) -> bool {
        self.rows >= ROWS || self.due.is_some_and(|due| due <= now)
    }

    fn reset(&mut self) {
        *self = Self { wait: (self.wait * 2).min(LAST_WAIT), due: None, rows: 0 };
    }
}

impl CommitQueue {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake, state: Mutex::default(), waiting: Notify::new() }
    }

    /// Adds rows with these keys. The table may have `known` ones already. Returns `false` when a row with one of these
    /// keys was pushed before, which this one replaces.
    pub(super) async fn push(
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
        if state.schedule.add(rows.num_rows(), Instant::now()) {
            self.waiting.notify_one();
        }
        let group = state.groups.entry(source).or_default();
        group.earlier.known |= known;
        group.earlier.pushed |= !is_new;
        group.batches.push(rows);
        if state.schedule.is_due(Instant::now()) {
            self.commit(&mut state, run_id).await?;
        }
        Ok(is_new)
    }

    /// Commits the waiting rows.
    pub(super) async fn flush(&self, run_id: &str) -> Result<(), Error> {
        self.commit(&mut *self.state.lock().await, run_id).await
    }

    /// Runs `work` to its end, and meanwhile commits rows that have waited long enough.
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
                    () = self.wait_until_due() => {}
                }
                // The next row that is recorded gets the error, too.
                if let Err(error) = self.flush(run_id).await {
                    warn!(%error, "could not commit rows of the ledger; the next commit includes them");
                }
            }
        };
        tokio::join!(work, commits).0
    }

    /// Waits until the waiting rows are due.
    async fn wait_until_due(&self) {
        self.waiting.notified().await;
        // They may have been committed meanwhile.
        let due = self.state.lock().await.schedule.due;
        if let Some(due) = due {
            tokio::time::sleep_until(due).await;
        }
    }

    async fn commit(&self, state: &mut QueueState, run_id: &str) -> Result<(), Error> {
        if state.schedule.due.is_none() {
            return Ok(());
        }
        for group in state.groups.values_mut().filter(|group| !group.batches.is_empty()) {
            let mode = merge_mode(group.earlier);
            group.earlier.attempted = true;
            let mut changes = self.lake.changes(&EXTRACTION_SLICE, mode);
            for batch in &group.batches {
                changes.push(None, batch.clone()).await?;
            }
            changes.commit(run_id).await?;
            *group = CommitGroup::default();
            state.commits += 1;
        }
        state.schedule.reset();
        if state.commits >= COMMITS {
            self.compact(state, run_id).await;
        }
        Ok(())
    }

    /// Compacts small files of slices.
    pub(super) async fn compact_slices(&self, run_id: &str) {
        self.compact(&mut *self.state.lock().await, run_id).await;
    }

    async fn compact(&self, state: &mut QueueState, run_id: &str) {
        state.commits = 0;
        for of in slices() {
            // An uncompacted ledger is only slower to read.
            if let Err(error) = self.lake.compact(&EXTRACTION_SLICE, &of, run_id).await {
                warn!(%error, "could not compact the ledger's files");
            }
        }
    }

    /// Compacts small files of runs.
    pub(super) async fn compact_runs(&self, run_id: &str) {
        if let Err(error) = self.lake.compact(&EXTRACTION_RUN, &RUNS, run_id).await {
            warn!(%error, "could not compact the files of `extraction_run`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_appended_unless_the_table_may_have_them() {
        let new = EarlierRows::default();
        let cases = [
            ("new rows", new, MergeMode::Append),
            ("rows of a replay", EarlierRows { known: true, ..new }, MergeMode::Upsert),
            ("a slice that is recorded twice", EarlierRows { pushed: true, ..new }, MergeMode::Upsert),
            ("after a commit that may have happened", EarlierRows { attempted: true, ..new }, MergeMode::Upsert),
            ("all of it", EarlierRows { known: true, pushed: true, attempted: true }, MergeMode::Upsert),
        ];
        for (name, earlier, expected) in cases {
            assert_eq!(merge_mode(earlier), expected, "{name}");
        }
    }

    #[test]
    fn rows_are_due_by_time_and_by_size() {
        let (mut schedule, now) = (CommitSchedule::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!schedule.is_due(after(1_000)), "nothing waits");
        assert!(schedule.add(1, now));
        assert!(!schedule.add(1, after(1)), "the first one's time counts");
        assert!(!schedule.is_due(now) && schedule.is_due(after(1)));
        schedule.reset();
        assert!(schedule.add(1, after(2)));
        assert!(!schedule.is_due(after(3)) && schedule.is_due(after(4)), "twice as long");
        schedule.add(ROWS, after(2));
        assert!(schedule.is_due(after(2)));
        (0..20).for_each(|_| schedule.reset());
        schedule.add(1, now);
        assert!(!schedule.is_due(after(59)) && schedule.is_due(after(60)), "no longer than a minute");
    }
}
