//! Replay: archived pages and payloads into a lake, without any request; and the archive that a run writes for that.
//!
//! Knows no service: whatever a page came from is in its description.

pub(crate) mod archive;
pub(crate) mod description;
mod read_description;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use copilot_lake_decoder::{RawPayload, SourceRow, decode_payloads};
use copilot_lake_extractor::{Page, Selection, Slice};
use copilot_lake_tables::{Instant, Labels, PAYLOAD, SYSTEM_USER, Table, Week, table};
use copilot_lake_writer::{ArchivedSlice, Instance, Lake, LakeOptions, Lock, MergeMode, archived, shown_location};
use futures::{StreamExt as _, TryStreamExt as _};

use self::description::{PAYLOADS, PayloadLine, SliceFile};
use self::read_description::{damaged, instant, left_out, place, read_about, unusable};
use crate::cpu;
use crate::dataverse::coverage::Coverage;
use crate::dataverse::deletes::{self, Deletion};
use crate::dataverse::ingest::Ingest;
use crate::dataverse::labels::LabelCache;
use crate::dataverse::named_people::NamedPeople;
use crate::dataverse::people;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::Ledger;
use crate::ledger::rejects::Rejects;
use crate::ledger::runs::REPLAY;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::{self, CREATED, MODIFIED, TRACKING};
use crate::payloads::changes::PayloadChanges;
use crate::payloads::named_files::HeldPayloads;
use crate::payloads::{DECODED_TOGETHER, DECODED_TOGETHER_BYTES};
use crate::report::{Report, RunOutcome, SliceStatus, TableReport};
use crate::run::condition::{self, LakeCondition};
use crate::run::run_id::{local_time, run_id};
use crate::settings::{Deletes, Stop};
use crate::slice_error::SliceError;

/// The settings of a replay.
#[derive(Debug)]
pub struct ReplaySettings {
    /// Where the lake is.
    pub lake: String,
    /// How the lake is written.
    pub lake_options: LakeOptions,
    /// Where archived slices are: paths or URLs of lakes, of their `_raw`, or of folders below.
    pub paths: Vec<String>,
}

/// Decodes archived pages and payloads again, in the order in which they were read.
pub async fn replay(replay: ReplaySettings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let mut lock = None;
    let report = replay_locked(replay, observe, stop, &mut lock).await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    report
}

/// Replays under the lake's lock, which it leaves in `lock`.
async fn replay_locked(
    replay: ReplaySettings,
    observe: Observer,
    stop: Stop,
    lock: &mut Option<Lock>,
) -> Result<Report, Error> {
    let begun = std::time::Instant::now();
    let (mut slices, mut unread) = (Vec::new(), Vec::new());
    for path in &replay.paths {
        for slice in archived(path, &replay.lake_options.store).await? {
            match read_about(&slice).await {
                Ok(about) => slices.push((about, slice)),
                Err(error) => unread.push(error),
            }
        }
    }
    let Some((first, _)) = slices.first() else {
        if let Some(error) = unread.pop() {
            return Err(error);
        }
        return Err(Error::NothingArchived {
            paths: replay.paths.iter().map(|path| shown_location(path).into()).collect(),
        });
    };
    // The organization is the environment; not every way of signing in knows the tenant.
    if let Some((other, _)) = slices.iter().find(|(about, _)| about.organization != first.organization) {
        return Err(Error::Archive { what: format!("run {} belongs to another environment", other.run_id) });
    }
    let instance = Instance { organization: first.organization.clone(), tenant: first.tenant.clone() };
    slices.sort_by(|(a, _), (b, _)| a.finished_at.cmp(&b.finished_at));

    let started_at = local_time();
    let run = run_id(started_at);
    let lake = Lake::open(&replay.lake, replay.lake_options).await?;
    *lock = Some(lake.lock(&run).await?);
    let LakeCondition { mut ledger, stopped_tables, .. } = condition::open(&lake, &instance, None).await?;
    // The archive may have rows for any table.
    if let Some(error) = stopped_tables.into_values().next() {
        return Err(error.into());
    }
    for (about, _) in &slices {
        ledger.adopt_run(&about.run_id, instant(&about.started_at)?).await?;
    }
    ledger.start_run(&run, REPLAY, started_at).await?;
    observe(&Event::Started { run_id: run.clone(), continued: false });

    let mut reports = BTreeMap::new();
    let rejects = Rejects::new(&lake);
    let had_payloads = !lake.weeks(&PAYLOAD).await?.is_empty();
    let mut target =
        ReplayTarget { lake, ledger, rejects, run, observe, stop: stop.clone(), had_payloads, reports: &mut reports };
    let mut stopped = false;
    for error in unread {
        // Its table is unknown.
        let report = target.report(PAYLOAD.name);
        report.slices_failed += 1;
        report.reasons.push(left_out(&error.to_string(), "slice"));
    }
    for (about, slice) in &slices {
        stopped = *stop.borrow();
        if stopped {
            break;
        }
        match target.replay_slice(about, slice).await {
            Ok(()) => {}
            // It was given up half-way.
            Err(Error::Archive { .. }) if *stop.borrow() => {}
            // A damaged slice does not hold up the others.
            Err(Error::Archive { what }) => target.record_failure(about, &what),
            // What was replayed before is in the lake.
            Err(error) => return target.ledger.flush(&target.run).await.and(Err(error)),
        }
    }
    stopped |= *stop.borrow();
    let (run, ledger) = (target.run, target.ledger);
    let count = |of: fn(&TableReport) -> u64| reports.values().map(of).sum::<u64>();
    let outcome = match (
        count(|table| table.slices_failed + table.payloads_failed),
        count(|table| table.slices_done + table.payloads),
    ) {
        (1.., 0) => RunOutcome::Failed,
        (0, _) if !stopped => RunOutcome::Complete,
        _ => RunOutcome::Partial,
    };
    let report = Report {
        outcome,
        stopped,
        seconds: begun.elapsed().as_secs_f64(),
        tables: reports.into_values().collect(),
        ..Report::new(run)
    };
    ledger.end_run(REPLAY, started_at, local_time(), &report).await?;
    Ok(report)
}

/// The lake into which archived slices are replayed.
struct ReplayTarget<'a> {
    lake: Lake,
    ledger: Ledger,
    rejects: Rejects,
    run: String,
    observe: Observer,
    stop: Stop,
    /// Whether the lake had payloads before: some may be newer than the archive's.
    had_payloads: bool,
    reports: &'a mut BTreeMap<&'static str, TableReport>,
}

impl ReplayTarget<'_> {
    async fn replay_slice(&mut self, about: &SliceFile, slice: &ArchivedSlice) -> Result<(), Error> {
        if about.table == PAYLOADS {
            return self.replay_payloads(slice).await;
        }
        let table = table(&about.table).filter(|table| table.entity_set().is_some());
        let table = table.ok_or_else(|| unusable(slice, &format!("there is no table `{}`", about.table)))?;
        let mut counts = SliceCounts {
            as_of: Some(instant(&about.as_of)?),
            requests: about.requests,
            throttled_seconds: about.throttled_seconds,
            ..SliceCounts::default()
        };
        if about.time_column == TRACKING {
            counts.pages = about.pages_read;
            self.apply_deletions(table, about).await?;
        } else {
            self.replay_pages(table, about, slice, &mut counts).await?;
        }
        let time_column = [CREATED, MODIFIED, TRACKING].into_iter().find(|column| *column == about.time_column);
        let of = Slice {
            table,
            scope: about.scope.clone(),
            time_column: time_column.ok_or_else(|| unusable(slice, "its time column is not known"))?,
            start: instant(&about.window_start)?,
            end: instant(&about.window_end)?,
        };
        let row = SliceRow {
            slice: of,
            selection: about.selection.clone(),
            status: SliceStatus::Done,
            reason: None,
            watermark: if about.counts { Watermark::OfWindows } else { Watermark::None },
            token: about.token.clone(),
            finished_at: instant(&about.finished_at)?,
            received: counts,
        };
        self.ledger.record_again(&about.run_id, &row).await?;
        let SliceRow { slice: of, received: counts, .. } = row;
        let report = self.report(table.name);
        report.slices_done += 1;
        report.pages += counts.pages;
        report.rows_received += counts.rows;
        report.rows_written += counts.rows_written;
        report.files_added += counts.files_added;
        report.rejected += counts.rejected;
        let window = windows::in_words(of.time_column, of.start, of.end);
        let (rows_received, rows_written) = (counts.rows, counts.rows_written);
        (self.observe)(&Event::SliceDone { table: table.name, window, rows_received, rows_written });
        Ok(())
    }

    /// Reports that a slice could not be replayed.
    fn record_failure(&mut self, about: &SliceFile, reason: &str) {
        let known = table(&about.table).map_or(PAYLOAD.name, |table| table.name);
        let window = match (Instant::parse(&about.window_start), Instant::parse(&about.window_end)) {
            (Some(start), Some(end)) => windows::in_words(&about.time_column, start, end),
            _ => format!("{} of an unknown window", about.time_column),
        };
        let report = self.report(known);
        report.slices_failed += 1;
        let reason = left_out(reason, "slice");
        report.reasons.push(reason.clone());
        (self.observe)(&Event::SliceNotDone { table: known, window, status: SliceStatus::Failed, reason });
    }

    fn report(&mut self, table: &'static str) -> &mut TableReport {
        self.reports.entry(table).or_insert_with(|| TableReport { table, ..TableReport::default() })
    }

    async fn replay_pages(
        &self,
        table: &'static Table,
        about: &SliceFile,
        slice: &ArchivedSlice,
        counts: &mut SliceCounts,
    ) -> Result<(), Error> {
        let mut labels = Labels::default();
        for (column, code, label) in &about.labels {
            labels.insert(column, *code, label);
        }
        let cache = LabelCache::new(None);
        cache.learn(table, labels).await;
        let only: Option<HashSet<String>> = if table.name == SYSTEM_USER.name {
            let mut only = people::known_ids(&self.lake).await?;
            only.extend(about.ids.iter().cloned());
            Some(only)
        } else {
            None
        };
        let selection = Selection::parse(&about.selection);
        // When a selection names no unknown property, the archive does not say whether the environment had any.
        let known = Selection::all(table);
        let selects_unknown = selection.wires().any(|wire| !known.names(wire));
        let ingest = Ingest {
            table,
            mode: MergeMode::UpsertReread,
            lake: &self.lake,
            run_id: &self.run,
            rejects: &self.rejects,
            labels: &cache,
            coverage: Coverage::new(table, &selection, selects_unknown),
            named: &NamedPeople::default(),
            only: only.as_ref(),
            stop: &self.stop,
        };
        let pages = futures::stream::iter(&about.pages).map(Ok).and_then(|time| async move {
            let body = slice.page(time.number).await.map_err(|error| SliceError::Archive(error.to_string()))?;
            let at = Instant::parse(&time.extracted_at);
            let page = Page::read(time.number, body).ok().zip(at);
            page.ok_or_else(|| SliceError::Archive(format!("{}: page {} is damaged", slice.path, time.number)))
        });
        let run = async {
            let ready = ingest.read(pages, counts, |_, _| {}).await?;
            ready.commit(&self.run, counts).await
        };
        run.await.map_err(Error::from)
    }

    /// Marks or removes rows that were deleted at the service.
    async fn apply_deletions(&mut self, table: &'static Table, about: &SliceFile) -> Result<(), Error> {
        let as_of = instant(&about.as_of)?;
        let deletes = Deletes::parse(&about.deletes).unwrap_or_default();
        let how = Deletion { deletes, as_of, seen_until: Some(as_of) };
        let rows = deletes::delete_rows(&self.lake, &self.run, &self.rejects, table, &about.deleted_keys, &how).await?;
        self.report(table.name).rows_deleted += rows;
        Ok(())
    }

    async fn replay_payloads(&mut self, slice: &ArchivedSlice) -> Result<(), Error> {
        let index = slice.index().await.map_err(|error| damaged(&error))?;
        let mut lines = Vec::new();
        for line in index.lines() {
            let line: Result<PayloadLine, _> = serde_json::from_str(line);
            let line =
                line.map_err(|error| unusable(slice, &format!("its index cannot be read, {}", place(&error))))?;
            let row = line.row().ok_or_else(|| unusable(slice, "it names an unknown column"))?;
            lines.push((instant(&line.extracted_at)?, row, line));
        }
        let numbers = || lines.iter().filter_map(|(_, _, line)| line.number);
        let listed: BTreeSet<u32> = numbers().collect();
        if listed.len() < numbers().count() {
            return Err(unusable(slice, "its index lists a payload twice"));
        }
        if let Some(number) = slice.payload_numbers().into_iter().find(|number| !listed.contains(number)) {
            return Err(unusable(slice, &format!("its index does not list payload {number}")));
        }
        self.drop_superseded(&mut lines).await?;
        let mut done = BTreeMap::new();
        let mut changes = PayloadChanges::new(&self.lake, MergeMode::UpsertReread);
        // All payloads of a batch have one time.
        for lines in lines.chunk_by(|a, b| a.0 == b.0) {
            let extracted_at = lines[0].0;
            let mut lines = lines.iter().peekable();
            while lines.peek().is_some() {
                let (mut payloads, mut cleared, mut held) = (Vec::new(), Vec::new(), 0);
                while payloads.len() < DECODED_TOGETHER
                    && held < DECODED_TOGETHER_BYTES
                    && let Some((_, row, line)) = lines.next()
                {
                    let row = row.clone();
                    if line.is_cleared() {
                        cleared.push(row);
                        continue;
                    }
                    let bytes = match line.number {
                        Some(number) => match slice.payload(number).await {
                            Ok(bytes) => Some(bytes),
                            Err(error) => {
                                let report = self.report(row.table);
                                report.payloads_failed += 1;
                                report.reasons.push(left_out(&error.to_string(), "payload"));
                                continue;
                            }
                        },
                        None => None,
                    };
                    held += bytes.as_ref().map_or(0, |bytes| bytes.len());
                    *done.entry(row.table).or_insert(0) += 1;
                    payloads.push(RawPayload { row, fetched: line.fetched(bytes) });
                }
                let decoded = cpu::run_on_rayon(move || decode_payloads(&payloads, extracted_at)).await?;
                changes.push(&self.rejects, &self.run, decoded, extracted_at).await?;
                changes.remove_cleared(&self.rejects, &cleared).await?;
            }
        }
        changes.commit(&self.rejects, &self.run).await?;
        for (table, payloads) in done {
            self.report(table).payloads += payloads;
        }
        Ok(())
    }

    /// Drops payloads of which the lake has a later one, and failures where the lake has any.
    async fn drop_superseded(&self, lines: &mut Vec<(Instant, SourceRow, PayloadLine)>) -> Result<(), Error> {
        if !self.had_payloads {
            return Ok(());
        }
        let weeks: BTreeSet<Week> = lines.iter().map(|(_, row, _)| Week::of(row.row_time)).collect();
        for week in weeks {
            let held = HeldPayloads::read(&self.lake, week).await?;
            lines.retain(|(at, row, line)| {
                let later = |held: Instant| held > *at || line.is_failed();
                Week::of(row.row_time) != week || !held.extracted_at(row).is_some_and(later)
            });
        }
        Ok(())
    }
}
