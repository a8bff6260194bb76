//! Reading histories: many users at once, of each one page after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use copilot_lake_decoder::{DecodedInteractions, History, Keep};
use copilot_lake_extractor::{Error as ServiceError, Graph, HistoryAsk};
use copilot_lake_tables::Instant;
use futures::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::window::Task;
use crate::cpu;
use crate::halt::Halt;
use crate::ingest::{Counts, NotDone};

/// Users whose history is read at the same time, for each request per second: so long may an answer take.
const SECONDS_IN_FLIGHT: f64 = 3.0;
/// Bytes of decoded rows that wait while others are committed.
const WAITING: usize = 32 << 20;
const UNIT: usize = 1 << 10;

/// What is heard of a user.
pub(crate) enum Heard {
    /// A page.
    Page(Box<HeardPage>),
    /// The history was read to its end, or is given up.
    End(Task, Box<Ended>),
}

/// A page of a user's history, decoded.
pub(crate) struct HeardPage {
    pub(crate) decoded: DecodedInteractions,
    pub(crate) extracted_at: Instant,
    /// The lake may have rows before this time.
    pub(crate) reread_until: Instant,
    pub(crate) throttled_seconds: f64,
    _room: Option<OwnedSemaphorePermit>,
}

/// How the reading of a history ended.
pub(crate) struct Ended {
    pub(crate) counts: Counts,
    pub(crate) finished_at: Instant,
    /// The tenant refused the filter: everything was read, and what is in the window kept.
    pub(crate) unfiltered: bool,
    pub(crate) result: Result<(), NotDone>,
}

/// Reads histories.
pub(crate) struct Reader {
    pub(crate) service: Graph,
    pub(crate) app_classes: Vec<String>,
    pub(crate) halt: Arc<Halt>,
    /// The tenant refuses filters.
    unfiltered: AtomicBool,
    /// Nobody was begun with since the run was to stop.
    stopped: AtomicBool,
    room: Arc<Semaphore>,
}

impl Reader {
    pub(crate) fn new(service: Graph, app_classes: Vec<String>, halt: Arc<Halt>) -> Self {
        let room = Arc::new(Semaphore::new(WAITING / UNIT));
        Self { service, app_classes, halt, unfiltered: AtomicBool::new(false), stopped: AtomicBool::new(false), room }
    }

    /// Whether somebody was left out because the run was to stop.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Reads all of them, and tells what is heard. Ends early when nobody listens, or the run is to stop.
    pub(crate) async fn read(&self, tasks: Vec<Task>, requests_per_second: f64, tell: mpsc::UnboundedSender<Heard>) {
        let at_once = (requests_per_second * SECONDS_IN_FLIGHT).ceil().clamp(16.0, 512.0) as usize;
        let reading = stream::iter(tasks).for_each_concurrent(at_once, |task| async {
            if self.halt.is_over() {
                self.stopped.store(true, Ordering::Relaxed);
                return;
            }
            let mut stop = self.halt.stop();
            tokio::select! {
                () = self.one(task, &tell) => {}
                Ok(_) = stop.wait_for(|stop| *stop) => self.stopped.store(true, Ordering::Relaxed),
            }
        });
        tokio::select! {
            () = reading => {}
            () = tell.closed() => {}
        }
    }

    async fn one(&self, task: Task, tell: &mpsc::UnboundedSender<Heard>) {
        let mut counts = Counts::default();
        let mut unfiltered = self.unfiltered.load(Ordering::Relaxed);
        let mut result = self.walk(&task, unfiltered, &mut counts, tell).await;
        if let (Err(NotDone::Service(ServiceError::FilterRefused { .. })), false) = (&result, unfiltered) {
            // From now on nobody is asked with one.
            self.unfiltered.store(true, Ordering::Relaxed);
            unfiltered = true;
            result = self.walk(&task, true, &mut counts, tell).await;
        }
        let finished_at = self.service.service_time().await.ok().or(counts.as_of).unwrap_or(task.end);
        let ended = Ended { counts, finished_at, unfiltered, result };
        // Nobody listens any more when the run is given up.
        drop(tell.send(Heard::End(task, Box::new(ended))));
    }

    async fn walk(
        &self,
        task: &Task,
        unfiltered: bool,
        counts: &mut Counts,
        tell: &mpsc::UnboundedSender<Heard>,
    ) -> Result<(), NotDone> {
        counts.as_of.get_or_insert(self.service.service_time().await?);
        let window = task.start..task.end;
        let keep = unfiltered.then(|| Keep { window: window.clone(), app_classes: self.app_classes.clone() });
        let ask = HistoryAsk { app_classes: self.app_classes.clone(), window: (!unfiltered).then_some(window) };
        let mut history = History::new(&task.user, keep);
        let mut pages = std::pin::pin!(self.service.history(&task.user, &ask));
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    counts.requests += error.call().map_or(0, |call| u64::from(call.tries));
                    return Err(error.into());
                }
            };
            let extracted_at = self.service.service_time().await?;
            counts.pages += 1;
            counts.requests += u64::from(page.requests);
            counts.throttled_seconds += page.throttled.as_secs_f64();
            let throttled_seconds = page.throttled.as_secs_f64();
            let (decoder, decoded) = cpu::run(move || {
                let decoded = history.decode(page.rows(), extracted_at);
                (history, decoded)
            })
            .await;
            history = decoder;
            let decoded = decoded?;
            counts.rows += decoded.rows;
            counts.rejected += decoded.rejects.len() as u64;
            let room = self.room(&decoded).await;
            let reread_until = task.reread_until;
            let page = HeardPage { decoded, extracted_at, reread_until, throttled_seconds, _room: room };
            if tell.send(Heard::Page(Box::new(page))).is_err() {
                return Err(NotDone::Stopped);
            }
        }
        Ok(())
    }

    /// Waits until there is room for these rows beside those that wait.
    async fn room(&self, decoded: &DecodedInteractions) -> Option<OwnedSemaphorePermit> {
        let bytes = |batch: &RecordBatch| batch.get_array_memory_size();
        let bytes: usize = decoded.batches.iter().map(|(_, _, batch)| bytes(batch)).sum();
        let units = (bytes / UNIT).clamp(1, WAITING / UNIT) as u32;
        // It is never closed.
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }
}
