//! Which window of a user's history is to be read: pure, from the ledger's newest row and the run's request.

use std::sync::Arc;

use copilot_lake_tables::Instant;

use super::asked::Asked;
use super::marks::Mark;

/// What planning needs beside a user's mark.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The start of the run, or of the one that it continues, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    pub(crate) overlap_seconds: i64,
    /// Read everything again.
    pub(crate) full: bool,
    /// Read this window again; no watermark moves.
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What is asked for: its `since` is the start of the first window.
    pub(crate) asked: Arc<Asked>,
    /// Whether the last run did not end: it may have left rows that no row of the ledger tells of.
    pub(crate) after_kill: bool,
}

/// A user's history in a window.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) user: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    /// The watermark before.
    pub(crate) until: Option<Instant>,
    /// What the watermark is about once the window is read.
    pub(crate) asked: Arc<Asked>,
    /// What the watermark before is about.
    pub(crate) asked_before: Option<Arc<Asked>>,
    /// The lake may have rows before this time.
    pub(crate) reread_until: Instant,
    /// Pages of the last window.
    pub(crate) pages_before: Option<u64>,
}

/// What is to be read of a user; `None` when a run that is continued has read it.
pub(crate) fn task(user: String, mark: Option<&Mark>, frame: &Frame) -> Option<Task> {
    let settled = |mark: &Mark| {
        let done = mark.until.is_some_and(|until| until >= frame.now) && !mark.failed;
        mark.is_continued && (done || (mark.skipped && mark.window_end >= frame.now))
    };
    if frame.window.is_none() && mark.is_some_and(settled) {
        return None;
    }
    let chain = mark.and_then(|mark| Some((mark.until?, mark.asked.as_ref()?)));
    let covered = chain.filter(|(_, done)| !frame.full && done.covers(&frame.asked));
    let since = frame.asked.since;
    let (start, end, asked) = match (frame.window, covered) {
        (Some((start, end)), _) => (start.unwrap_or(since).floor_second(), end.ceil_second(), Arc::clone(&frame.asked)),
        (None, Some((until, done))) => {
            let start = until.plus_seconds(-frame.overlap_seconds).floor_second().max(since).min(frame.now);
            // The chain goes on where it began.
            let asked = Asked { since: done.since, app_classes: frame.asked.app_classes.clone() };
            (start, frame.now, if asked == *frame.asked { Arc::clone(&frame.asked) } else { Arc::new(asked) })
        }
        (None, None) => (since, frame.now, Arc::clone(&frame.asked)),
    };
    let reread_until = if frame.after_kill || frame.full || frame.window.is_some() {
        end
    } else {
        mark.map_or(start, |mark| mark.window_end)
    };
    Some(Task {
        user,
        start,
        end,
        until: mark.and_then(|mark| mark.until),
        asked,
        asked_before: mark.and_then(|mark| mark.asked.clone()),
        reread_until,
        pages_before: mark.map(|mark| mark.pages),
    })
}
