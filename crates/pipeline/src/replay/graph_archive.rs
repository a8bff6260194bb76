//! The archive of what Graph sends: the users in scope, and histories that are committed together.

use std::collections::HashSet;

use bytes::Bytes;
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant};
use copilot_lake_writer::{Archive, EntryKind, Error, RunArchive};

use super::archive::{compact, describe, entry, json};
use super::description::{HistoryLine, PageLine, SliceFile};
use crate::graph::ended_slice::CREATED;
use crate::ledger::slice_row::{SliceRow, Watermark};
use crate::report::SliceStatus;
use crate::run::context::RunContext;

/// The most characters of a reason: they would not be read.
const REASON_CHARS: usize = 1000;

/// Archived pages of users.
pub(crate) struct UserArchive {
    run_archive: RunArchive,
    archive: Archive,
    about: SliceFile,
    pages: u32,
    newest: Instant,
}

impl UserArchive {
    /// `None` when nothing is archived. Users whom the lake does not know are in scope from `now` on.
    pub(crate) fn begin(run: &RunContext, now: Instant) -> Option<Self> {
        let slice = Slice { table: &GRAPH_USER, scope: String::new(), time_column: CREATED, start: now, end: now };
        let (run_archive, about) = describe(run, &slice, "", now)?;
        let archive = run_archive.begin(GRAPH_USER.name, &compact(now));
        Some(Self { run_archive, archive, about, pages: 0, newest: now })
    }

    /// Archives a page with the users on it who are in scope.
    pub(crate) async fn push_page(&mut self, body: Bytes, ids: HashSet<&str>, at: Instant) -> Result<(), Error> {
        self.pages += 1;
        self.newest = self.newest.max(at);
        let mut ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        ids.sort_unstable();
        let line = PageLine { ids, ..PageLine::new(self.pages, at) };
        self.archive.push(vec![entry(EntryKind::Page, &line, Some(body))]).await
    }

    /// Completes the archive, unless nobody is in scope.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        if self.pages == 0 {
            return Ok(());
        }
        let about = SliceFile { finished_at: self.newest.to_string(), ..self.about };
        self.run_archive.finish(GRAPH_USER.name, self.archive, json(&about)).await
    }
}

/// The archive of histories that are committed together. Nothing comes of it when nothing is archived.
#[derive(Default)]
pub(crate) struct HistoryArchive {
    begun: Option<(RunArchive, Archive, SliceFile)>,
    newest: Option<Instant>,
}

impl HistoryArchive {
    /// Archives pages that were decoded together.
    pub(crate) async fn push(
        &mut self,
        run: &RunContext,
        pages: Vec<(HistoryLine, Bytes)>,
        extracted_at: Instant,
    ) -> Result<(), Error> {
        if pages.is_empty() {
            return Ok(());
        }
        let Some((_, archive, _)) = self.begin(run, extracted_at) else { return Ok(()) };
        let entries = pages.into_iter().map(|(line, body)| {
            let line = HistoryLine { extracted_at: extracted_at.to_string(), ..line };
            entry(EntryKind::Page, &line, Some(body))
        });
        archive.push(entries.collect()).await?;
        self.newest = self.newest.max(Some(extracted_at));
        Ok(())
    }

    /// Completes the archive with the slices that have ended. The first line of its description is about all pages.
    pub(crate) async fn finish(
        &mut self,
        run: &RunContext,
        rows: impl Iterator<Item = &SliceRow>,
    ) -> Result<(), Error> {
        let mut rows = rows.peekable();
        if let Some(first) = rows.peek() {
            self.begin(run, first.finished_at);
        }
        let Some((run_archive, archive, about)) = self.begun.take() else { return Ok(()) };
        let mut newest = self.newest;
        let mut slices = String::new();
        for row in rows {
            newest = newest.max(Some(row.finished_at));
            if let Some(slice) = describe_row(run, row) {
                slices.push('\n');
                slices.push_str(&json(&slice));
            }
        }
        let finished_at = newest.map_or(about.finished_at.clone(), |newest| newest.to_string());
        let all = SliceFile { finished_at, ..about };
        run_archive.finish(AI_INTERACTION.name, archive, format!("{}{slices}", json(&all))).await
    }

    fn begin(&mut self, run: &RunContext, at: Instant) -> Option<&(RunArchive, Archive, SliceFile)> {
        if self.begun.is_none() {
            let slice =
                Slice { table: &AI_INTERACTION, scope: String::new(), time_column: CREATED, start: at, end: at };
            let (run_archive, about) = describe(run, &slice, "", at)?;
            let archive = run_archive.begin(AI_INTERACTION.name, &compact(at));
            self.begun = Some((run_archive, archive, about));
            self.newest = Some(at);
        }
        self.begun.as_ref()
    }
}

/// The description of a slice as its row in the ledger has it.
fn describe_row(run: &RunContext, row: &SliceRow) -> Option<SliceFile> {
    let as_of = row.received.as_of.unwrap_or(row.finished_at);
    let (_, about) = describe(run, &row.slice, &row.selection, as_of)?;
    let printable = |reason: &String| {
        reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS).collect::<String>()
    };
    let done_until = if let Watermark::At(until) = row.watermark { until } else { None };
    Some(SliceFile {
        status: (row.status != SliceStatus::Done).then(|| row.status.name().to_owned()),
        reason: row.reason.as_ref().map(printable),
        done_until: done_until.map(|until| until.to_string()),
        pages_read: row.received.pages,
        requests: row.received.requests,
        throttled_seconds: row.received.throttled_seconds,
        finished_at: row.finished_at.to_string(),
        ..about
    })
}
