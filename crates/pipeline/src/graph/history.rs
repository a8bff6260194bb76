//! Reading histories: many users at once, of each one page after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use copilot_lake_decoder::{Error as DecodeError, History, HistoryWindow};
use copilot_lake_extractor::{Error as ServiceError, Graph, HistoryQuery, Page};
use copilot_lake_tables::Instant;
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::window::Task;
use crate::halt::Halt;
use crate::ingest::{Counts, NotDone};

/// What is heard of a user.
pub(crate) enum Heard {
    /// A page.
    Page(HeardPage),
    /// The history was read to its end, or is given up.
    End(Box<Ended>),
}

/// A history while its pages are decoded.
pub(crate) struct Decoding {
    pub(crate) history: History,
    /// Why a page could not be decoded.
    pub(crate) broken: Option<DecodeError>,
}

/// A page of a user's history.
pub(crate) struct HeardPage {
    pub(crate) history: Arc<Mutex<Decoding>>,
    pub(crate) page: Page,
    pub(crate) extracted_at: Instant,
}

/// How the reading of a history ended.
pub(crate) struct Ended {
    pub(crate) task: Task,
    /// What became of its pages, once they are decoded.
    pub(crate) history: Arc<Mutex<Decoding>>,
    pub(crate) counts: Counts,
    pub(crate) finished_at: Instant,
    /// The tenant refused the filter: everything was read, and what is in the window kept.
    pub(crate) unfiltered: bool,
    pub(crate) result: Result<(), NotDone>,
}

impl Ended {
    /// Takes in what became of the pages. All of them must have been decoded.
    pub(crate) fn settle(mut self) -> Self {
        let mut decoding = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        (self.counts.rows, self.counts.rejected) = (decoding.history.rows(), decoding.history.rejected());
        if let Some(error) = decoding.broken.take() {
            self.result = Err(NotDone::Decode(error));
        }
        drop(decoding);
        self
    }
}

/// Reads histories.
pub(crate) struct Reader {
    service: Graph,
    app_classes: Vec<String>,
    halt: Arc<Halt>,
    /// A filter was accepted: whoever is refused one is alone with that.
    filtered: AtomicBool,
    /// The tenant refuses filters.
    unfiltered: AtomicBool,
    /// Nobody was begun with since the run was to stop.
    stopped: AtomicBool,
}

impl Reader {
    pub(crate) fn new(service: Graph, app_classes: Vec<String>, halt: Arc<Halt>) -> Self {
        let [filtered, unfiltered, stopped] = [const { AtomicBool::new(false) }; 3];
        Self { service, app_classes, halt, filtered, unfiltered, stopped }
    }

    /// Whether somebody was left out because the run was to stop.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Reads all of them, and tells what is heard. Ends early when nobody listens, or the run is to stop.
    pub(crate) async fn read(&self, tasks: Vec<Task>, tell: mpsc::UnboundedSender<Heard>) {
        let reading = stream::iter(tasks).for_each_concurrent(self.service.at_once(), |task| async {
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
        let unfiltered = self.unfiltered.load(Ordering::Relaxed);
        let mut reading = self.walk(&task, unfiltered, &mut counts, tell).await;
        if matches!(reading.result, Err(NotDone::Service(ServiceError::FilterRefused { .. }))) && !unfiltered {
            reading = self.walk(&task, true, &mut counts, tell).await;
            if reading.result.is_ok() && !self.filtered.load(Ordering::Relaxed) {
                // From now on nobody is asked with one.
                self.unfiltered.store(true, Ordering::Relaxed);
            }
        }
        let Reading { history, unfiltered, result } = reading;
        let finished_at = self.service.service_time().await.ok().or(counts.as_of).unwrap_or(task.end);
        let ended = Ended { task, history, counts, finished_at, unfiltered, result };
        // Nobody listens any more when the run is given up.
        drop(tell.send(Heard::End(Box::new(ended))));
    }

    async fn walk(
        &self,
        task: &Task,
        unfiltered: bool,
        counts: &mut Counts,
        tell: &mpsc::UnboundedSender<Heard>,
    ) -> Reading {
        let window = task.start..task.end;
        // What the service sends to a filter is kept, whatever its time: of a window again, or never shown otherwise.
        let keep = unfiltered.then(|| HistoryWindow { window: window.clone(), app_classes: self.app_classes.clone() });
        let history = Arc::new(Mutex::new(Decoding { history: History::new(&task.user, keep), broken: None }));
        let ask = HistoryQuery { app_classes: self.app_classes.clone(), window: (!unfiltered).then_some(window) };
        let result = self.pages(task, &ask, &history, counts, tell).await;
        Reading { history, unfiltered, result }
    }

    async fn pages(
        &self,
        task: &Task,
        ask: &HistoryQuery,
        history: &Arc<Mutex<Decoding>>,
        counts: &mut Counts,
        tell: &mpsc::UnboundedSender<Heard>,
    ) -> Result<(), NotDone> {
        counts.as_of.get_or_insert(self.service.service_time().await?);
        let mut pages = std::pin::pin!(self.service.history(&task.user, ask));
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    counts.requests += error.call().map_or(0, |call| u64::from(call.attempts));
                    return Err(error.into());
                }
            };
            if ask.window.is_some() {
                self.filtered.store(true, Ordering::Relaxed);
            }
            counts.pages += 1;
            counts.requests += u64::from(page.requests);
            counts.throttled_seconds += page.throttled.as_secs_f64();
            let extracted_at = self.service.service_time().await?;
            let page = HeardPage { history: Arc::clone(history), page, extracted_at };
            if tell.send(Heard::Page(page)).is_err() {
                return Err(NotDone::Stopped);
            }
        }
        Ok(())
    }
}

/// One walk over a history.
struct Reading {
    history: Arc<Mutex<Decoding>>,
    unfiltered: bool,
    result: Result<(), NotDone>,
}
