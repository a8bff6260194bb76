//! Which window of a user's history is to be read: pure, from the ledger's newest row and the run's request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use copilot_lake_tables::{GRAPH_USER, Instant};
use copilot_lake_writer::Extent;

use super::asked::Asked;
use super::marks::LastSlice;
use crate::condition::tables_of_graph;
use crate::report::Status;
use crate::settings::GraphJob;

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
    /// What the lake has lost.
    pub(crate) lost: Option<Lost>,
}

/// Rows that the lake has lost, of whomever.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    /// None is older.
    pub(crate) since: Instant,
    /// The run that found it, and all later ones: what they have read is there.
    pub(crate) read_by: BTreeSet<String>,
}

impl Lost {
    /// What a run has to read again, of all tables that histories are written to.
    pub(crate) fn of(
        tables: &BTreeMap<&'static str, copilot_lake_writer::LostRows>,
        job: &GraphJob,
        started: &BTreeMap<String, Instant>,
    ) -> Option<Self> {
        // People are read in every run.
        let of_histories = tables_of_graph().filter(|table| table.name != GRAPH_USER.name);
        let of_graph: Vec<_> = of_histories.filter_map(|table| tables.get(table.name)).collect();
        let last = of_graph.iter().max_by_key(|lost| lost.found_at)?;
        let since = of_graph.iter().map(|lost| oldest(lost, job)).min()?;
        let later = started.iter().filter(|(_, start)| **start > last.found_at).map(|(run, _)| run.clone());
        Some(Self { since, read_by: later.chain([last.found_by.clone()]).collect() })
    }

    /// Whether a user's history was read again.
    fn is_settled(&self, mark: &LastSlice) -> bool {
        mark.is_after_loss && mark.status == Status::Done && mark.window_start <= self.since
    }
}

fn oldest(lost: &copilot_lake_writer::LostRows, job: &GraphJob) -> Instant {
    let first = match &lost.extent {
        Extent::Everything => None,
        Extent::Weeks(weeks) => weeks.values().map(|times| times.start).min(),
    };
    first.unwrap_or(job.since).floor_second()
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
    /// Pages that the window has, going by the last one.
    pub(crate) pages_expected: u64,
    /// Whether there is a history to be read, for all that is known: the user is licensed, and the last window was read.
    pub(crate) is_expected: bool,
    /// Whether the directory has deleted the user.
    pub(crate) is_deleted: bool,
}

impl Task {
    /// Of a user of whom nothing is known.
    pub(crate) fn unread(user: String, window: Range<Instant>, asked: Arc<Asked>) -> Self {
        Self {
            user,
            start: window.start,
            end: window.end,
            until: None,
            asked,
            asked_before: None,
            pages_expected: 1,
            is_expected: false,
            is_deleted: false,
        }
    }
}

/// What is known of a user beside the ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) is_licensed: bool,
    /// Whether the directory has deleted the user.
    pub(crate) is_deleted: bool,
}

/// What is to be read of a user; `None` when a run that is continued has read it.
pub(crate) fn task(user: String, of: Standing, mark: Option<&LastSlice>, frame: &Frame) -> Option<Task> {
    let covers = |mark: &&LastSlice| mark.asked.as_ref().is_some_and(|done| done.covers(&frame.asked));
    let settled = |mark: &LastSlice| {
        let done = mark.until.is_some_and(|until| until >= frame.now) && mark.status != Status::Failed && covers(&mark);
        mark.is_continued && (done || (mark.status == Status::Skipped && mark.window_end >= frame.now))
    };
    let lost = frame.lost.as_ref().filter(|lost| !mark.is_some_and(|mark| lost.is_settled(mark)));
    if frame.window.is_none() && lost.is_none() && mark.is_some_and(settled) {
        return None;
    }
    let chain = mark.filter(covers).filter(|_| !frame.full).and_then(|mark| mark.until.zip(mark.asked.as_ref()));
    let since = frame.asked.since;
    let (start, end, asked) = match (frame.window, chain) {
        (Some((start, end)), _) => (start.unwrap_or(since).floor_second(), end.ceil_second(), Arc::clone(&frame.asked)),
        (None, Some((until, done))) => {
            let start = until.plus_seconds(-frame.overlap_seconds).floor_second();
            // A start that is configured later than what was read leaves no gap.
            let start = if since <= until { start.max(since) } else { start };
            // What is lost is read with what is new.
            let start = lost.map_or(start, |lost| start.min(lost.since));
            // The chain goes on where it began.
            let asked = Asked { since: done.since, app_classes: frame.asked.app_classes.clone() };
            let asked = if asked == *frame.asked { Arc::clone(&frame.asked) } else { Arc::new(asked) };
            (start.min(frame.now), frame.now, asked)
        }
        (None, None) => {
            let start = lost.map_or(since, |lost| since.min(lost.since));
            (start, frame.now, Arc::clone(&frame.asked))
        }
    };
    let was_left_out = mark.is_some_and(|mark| mark.status != Status::Done);
    Some(Task {
        until: mark.and_then(|mark| mark.until),
        asked_before: mark.and_then(|mark| mark.asked.clone()),
        pages_expected: mark.map_or(1, |mark| expected(mark, end.0 - start.0)),
        is_expected: of.is_licensed && !of.is_deleted && !was_left_out,
        is_deleted: of.is_deleted,
        ..Task::unread(user, start..end, asked)
    })
}

/// Pages of a window of that length, as dense as the last one.
fn expected(mark: &LastSlice, micros: i64) -> u64 {
    let before = (mark.window_end.0 - mark.window_start.0).max(1);
    let pages = mark.pages as f64 * micros as f64 / before as f64;
    (pages.ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn asked(since: &str) -> Arc<Asked> {
        Arc::new(Asked { since: at(since), app_classes: std::collections::BTreeSet::new() })
    }

    fn frame(since: &str) -> Frame {
        let asked = asked(since);
        Frame { now: at("2025-11-06"), overlap_seconds: 86_400, full: false, window: None, asked, lost: None }
    }

    fn mark(until: Option<&str>, window: (&str, &str)) -> LastSlice {
        LastSlice {
            until: until.map(at),
            asked: Some(asked("2025-10-01")),
            window_start: at(window.0),
            window_end: at(window.1),
            status: Status::Done,
            is_continued: false,
            is_after_loss: false,
            pages: 4,
            finished_at: 0,
        }
    }

    const USER: Standing = Standing { is_licensed: true, is_deleted: false };

    fn of(mark: Option<&LastSlice>, frame: &Frame) -> Option<(String, String)> {
        let task = task("u".to_owned(), USER, mark, frame)?;
        Some((task.start.to_string(), task.end.to_string()))
    }

    fn texts(texts: [&str; 2]) -> Option<(String, String)> {
        let [a, b] = texts.map(|text| at(text).to_string());
        Some((a, b))
    }

    #[test]
    fn a_first_window_begins_where_it_is_said_and_a_later_one_a_little_before_the_last() {
        assert_eq!(of(None, &frame("2025-10-01")), texts(["2025-10-01", "2025-11-06"]));
        let done = mark(Some("2025-11-05"), ("2025-11-03", "2025-11-05"));
        assert_eq!(of(Some(&done), &frame("2025-10-01")), texts(["2025-11-04", "2025-11-06"]));
    }

    #[test]
    fn what_is_lost_is_read_again_once() {
        let lost = Some(Lost { since: at("2025-10-12"), read_by: BTreeSet::from(["run".to_owned()]) });
        let frame = Frame { lost, ..frame("2025-10-01") };
        let done = mark(Some("2025-11-05"), ("2025-11-03", "2025-11-05"));
        assert_eq!(of(Some(&done), &frame), texts(["2025-10-12", "2025-11-06"]));
        let continued = LastSlice { is_continued: true, ..mark(Some("2025-11-06"), ("2025-11-04", "2025-11-06")) };
        assert_eq!(of(Some(&continued), &frame), texts(["2025-10-12", "2025-11-06"]));
        let again = LastSlice { is_after_loss: true, ..mark(Some("2025-11-06"), ("2025-10-12", "2025-11-06")) };
        assert_eq!(of(Some(&again), &frame), texts(["2025-11-05", "2025-11-06"]));
        let failed = LastSlice { status: Status::Failed, ..again };
        assert_eq!(of(Some(&failed), &frame), texts(["2025-10-12", "2025-11-06"]));
    }

    #[test]
    fn a_start_after_the_watermark_leaves_no_gap() {
        let done = mark(Some("2025-10-20"), ("2025-10-19", "2025-10-20"));
        assert_eq!(of(Some(&done), &frame("2025-11-01")), texts(["2025-10-19", "2025-11-06"]));
        let earlier = frame("2025-09-01");
        assert_eq!(of(Some(&done), &earlier), texts(["2025-09-01", "2025-11-06"]), "earlier history");
    }

    #[test]
    fn what_a_continued_run_settled_is_not_asked_again() {
        let frame = frame("2025-10-01");
        let done = || LastSlice { is_continued: true, ..mark(Some("2025-11-06"), ("2025-11-04", "2025-11-06")) };
        assert_eq!(of(Some(&done()), &frame), None);
        assert!(
            of(Some(&LastSlice { asked: Some(asked("2025-10-30")), ..done() }), &frame).is_some(),
            "less was asked"
        );
        let skipped = || LastSlice { until: None, status: Status::Skipped, ..done() };
        assert_eq!(of(Some(&skipped()), &frame), None);
        assert!(of(Some(&LastSlice { status: Status::Failed, ..skipped() }), &frame).is_some());
        assert!(of(Some(&LastSlice { is_continued: false, ..done() }), &frame).is_some());
    }
}
