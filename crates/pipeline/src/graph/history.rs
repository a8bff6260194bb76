//! Reads histories: many users at once, each page by page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use copilot_lake_decoder::{Error as DecodeError, History, HistoryWindow};
use copilot_lake_extractor::{Error as ServiceError, Graph, HistoryQuery, Page};
use copilot_lake_tables::Instant;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::scope_state::UnreadableHistory;
use super::window::HistoryTask;
use crate::halving::{PartFailure, is_about_page};
use crate::ledger::slice_row::SliceCounts;
use crate::run::shutdown::Shutdown;
use crate::slice_error::SliceError;

/// The most histories that are read beside others that wait for their mailbox: each that is under way has room for a page
/// in the queue.
const HELD_BACK: usize = 500;

/// What happens to a history while it is read.
pub(crate) enum HistoryEvent {
    /// A page.
    Page(HistoryPage),
    /// The history was read to its end, or given up.
    End(Box<EndedHistory>),
}

/// A history while its pages are decoded.
pub(crate) struct HistoryDecoding {
    pub(crate) user: String,
    /// What is kept of a history that was read unfiltered.
    pub(crate) keep: Option<HistoryWindow>,
    pub(crate) history: History,
    /// Pages that were decoded.
    pub(crate) pages: u32,
    /// Why a page could not be decoded.
    pub(crate) broken: Option<DecodeError>,
}

impl HistoryDecoding {
    pub(crate) fn new(user: &str, keep: Option<HistoryWindow>) -> Self {
        Self { user: user.to_owned(), history: History::new(user, keep.clone()), keep, pages: 0, broken: None }
    }
}

/// A page of a user's history.
pub(crate) struct HistoryPage {
    pub(crate) history: Arc<Mutex<HistoryDecoding>>,
    pub(crate) page: Page,
    pub(crate) extracted_at: Instant,
}

/// A history that was read to its end, or given up.
pub(crate) struct EndedHistory {
    pub(crate) task: HistoryTask,
    /// The state of its decoding.
    pub(crate) history: Arc<Mutex<HistoryDecoding>>,
    pub(crate) counts: SliceCounts,
    pub(crate) finished_at: Instant,
    /// The tenant refuses the filter: everything was read, and what is in the window was kept.
    pub(crate) unfiltered: bool,
    /// What could not be read although the rest was.
    pub(crate) unreadable: Vec<UnreadableHistory>,
    pub(crate) result: Result<(), SliceError>,
}

impl EndedHistory {
    /// Adds the result of decoding. All pages must have been decoded.
    pub(crate) fn settle(mut self) -> Self {
        let mut decoding = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        (self.counts.rows, self.counts.rejected) = (decoding.history.rows(), decoding.history.rejected());
        if let Some(error) = decoding.broken.take() {
            self.result = Err(SliceError::Decode(error));
        }
        drop(decoding);
        self
    }
}

/// Reads histories.
pub(crate) struct HistoryReader {
    service: Graph,
    app_classes: Vec<String>,
    shutdown: Arc<Shutdown>,
    /// A filter was accepted: a refusal is about one user alone.
    filtered: AtomicBool,
    /// The tenant refuses filters.
    unfiltered: AtomicBool,
    /// A history was left out or given up because of the shutdown.
    stopped: AtomicBool,
}

impl HistoryReader {
    pub(crate) fn new(service: Graph, app_classes: Vec<String>, shutdown: Arc<Shutdown>) -> Self {
        let [filtered, unfiltered, stopped] = [const { AtomicBool::new(false) }; 3];
        Self { service, app_classes, shutdown, filtered, unfiltered, stopped }
    }

    /// Whether a history was left out or given up because of the shutdown.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Reads histories, several at a time, and sends what happens. Ends early when the receiver is closed, or on a shutdown.
    pub(crate) async fn read(&self, tasks: Vec<HistoryTask>, events: mpsc::Sender<HistoryEvent>) {
        tokio::select! {
            () = self.read_all(tasks, &events) => {}
            () = events.closed() => {}
        }
    }

    /// Reads several at a time, and one more for each that waits because its own mailbox throttles.
    async fn read_all(&self, tasks: Vec<HistoryTask>, events: &mpsc::Sender<HistoryEvent>) {
        let (mut tasks, mut reading) = (tasks.into_iter(), FuturesUnordered::new());
        let mut held_back = self.service.held_back();
        loop {
            let at_once = self.service.at_once() + (*held_back.borrow_and_update()).min(HELD_BACK);
            while reading.len() < at_once
                && let Some(task) = tasks.next()
            {
                reading.push(self.read_and_send(task, events));
            }
            tokio::select! {
                ended = reading.next() => if ended.is_none() { return },
                Ok(()) = held_back.changed() => {}
            }
        }
    }

    async fn read_and_send(&self, task: HistoryTask, events: &mpsc::Sender<HistoryEvent>) {
        if self.shutdown.is_requested() {
            self.stopped.store(true, Ordering::Relaxed);
            return;
        }
        let mut stop = self.shutdown.subscribe();
        let ended = tokio::select! {
            ended = self.read_one(task, events) => Some(ended),
            Ok(_) = stop.wait_for(|stop| *stop) => None,
        };
        match ended {
            // The service was stopped at the deadline, before it answered.
            Some(EndedHistory { result: Err(SliceError::Stopped), .. }) if self.shutdown.is_requested() => {
                self.stopped.store(true, Ordering::Relaxed);
            }
            // What was read to its end is not lost to a shutdown while the queue is full. The receiver is closed when the
            // run is given up.
            Some(ended) => drop(events.send(HistoryEvent::End(Box::new(ended))).await),
            None => self.stopped.store(true, Ordering::Relaxed),
        }
    }

    async fn read_one(&self, task: HistoryTask, events: &mpsc::Sender<HistoryEvent>) -> EndedHistory {
        let mut counts = SliceCounts::default();
        let unfiltered = self.unfiltered.load(Ordering::Relaxed);
        let mut reading = self.read_once(&task, unfiltered, &mut counts, events).await;
        if matches!(reading.result, Err(SliceError::Service(ServiceError::FilterRefused { .. }))) && !unfiltered {
            reading = self.read_once(&task, true, &mut counts, events).await;
            if reading.result.is_ok() && !self.filtered.load(Ordering::Relaxed) {
                // From now on no history is requested with a filter.
                self.unfiltered.store(true, Ordering::Relaxed);
            }
        }
        let HistoryRead { history, unfiltered, unreadable, result } = reading;
        let finished_at = self.service.service_time().await.ok().or(counts.as_of).unwrap_or(task.end);
        EndedHistory { task, history, counts, finished_at, unfiltered, unreadable, result }
    }

    async fn read_once(
        &self,
        task: &HistoryTask,
        unfiltered: bool,
        counts: &mut SliceCounts,
        events: &mpsc::Sender<HistoryEvent>,
    ) -> HistoryRead {
        let window = task.start..task.end;
        // Rows that come in spite of a filter are kept, whatever their time: they belong to another window, or come no
        // other way.
        let keep = unfiltered.then(|| HistoryWindow { window: window.clone(), app_classes: self.app_classes.clone() });
        let history = Arc::new(Mutex::new(HistoryDecoding::new(&task.user, keep)));
        let query = |window| HistoryQuery { app_classes: self.app_classes.clone(), window };
        if unfiltered {
            let result = self.read_pages(task, (&query(None), false), &history, counts, events).await;
            return HistoryRead { history, unfiltered, unreadable: Vec::new(), result };
        }
        let mut halving = task.halving();
        let mut failure = None;
        let result = loop {
            let Some(part) = halving.next() else { break Ok(()) };
            if halving.has_failed_before() && self.shutdown.is_requested() {
                break Err(SliceError::Stopped);
            }
            let query = (&query(Some(part)), halving.has_failed_before());
            match self.read_pages(task, query, &history, counts, events).await {
                Ok(()) => halving.read(),
                Err(SliceError::Service(error)) if is_about_page(&error) => {
                    if halving.failed() == PartFailure::GivenUp {
                        break Err(error.into());
                    }
                    failure = Some(error.to_string());
                }
                Err(error) => break Err(error),
            }
        };
        let unreadable =
            task.unreadable_now(halving.unreadable(), counts.as_of, failure.as_deref().unwrap_or_default());
        HistoryRead { history, unfiltered, unreadable, result }
    }

    async fn read_pages(
        &self,
        task: &HistoryTask,
        (query, has_failed_before): (&HistoryQuery, bool),
        history: &Arc<Mutex<HistoryDecoding>>,
        counts: &mut SliceCounts,
        events: &mpsc::Sender<HistoryEvent>,
    ) -> Result<(), SliceError> {
        counts.as_of.get_or_insert(self.service.service_time().await?);
        let pages = match has_failed_before {
            true => self.service.history_again(&task.user, query).left_stream(),
            false => self.service.history(&task.user, query).right_stream(),
        };
        let mut pages = std::pin::pin!(pages);
        loop {
            // No page is requested before there is room for it.
            let Ok(slot) = events.reserve().await else { return Err(SliceError::Stopped) };
            let Some(page) = pages.next().await else { return Ok(()) };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    counts.requests += error.call().map_or(0, |call| u64::from(call.attempts));
                    return Err(error.into());
                }
            };
            if query.window.is_some() {
                self.filtered.store(true, Ordering::Relaxed);
            }
            counts.pages += 1;
            counts.requests += u64::from(page.requests);
            counts.throttled_seconds += page.throttled.as_secs_f64();
            let extracted_at = self.service.service_time().await?;
            let page = HistoryPage { history: Arc::clone(history), page, extracted_at };
            slot.send(HistoryEvent::Page(page));
        }
    }
}

/// One reading of a history, with or without a filter.
struct HistoryRead {
    history: Arc<Mutex<HistoryDecoding>>,
    unfiltered: bool,
    unreadable: Vec<UnreadableHistory>,
    result: Result<(), SliceError>,
}
