//! Replay: archived pages and payloads into a lake, without a request.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use copilot_lake_decoder::{RawPayload, SourceRow, decode_payloads};
use copilot_lake_extractor::{Page, Selection, Slice};
use copilot_lake_tables::{Instant, Labels, PAYLOAD, SYSTEM_USER, Table, Week, table};
use copilot_lake_writer::{ArchivedSlice, Instance, Lake, LakeOptions, MergeMode, archived};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::archive::{PAYLOADS, PayloadLine, SliceFile, TRACKING, VERSION};
use crate::condition::{self, Condition};
use crate::coverage::Coverage;
use crate::deletes::{self, Forget};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ingest::{Counts, Ingest, Named, NotDone};
use crate::labels::LabelCache;
use crate::ledger::{Ledger, REPLAY, SliceRow, Watermark};
use crate::named_files::Held;
use crate::part::Part;
use crate::payloads::{DECODED_TOGETHER, DECODED_TOGETHER_BYTES};
use crate::plan::{CREATED, MODIFIED};
use crate::rejects::Rejects;
use crate::report::{Outcome, Report, Status, TableReport};
use crate::run::{local_time, run_id};
use crate::settings::{Deletes, Stop};
use crate::{cpu, people};

/// What a replay is to do.
#[derive(Debug)]
pub struct Replay {
    /// Where the lake is.
    pub lake: String,
    /// How it is written.
    pub lake_options: LakeOptions,
    /// Where archived slices lie: paths or URLs of lakes, of their `_raw`, or of folders below.
    pub paths: Vec<String>,
}

/// Decodes archived pages and payloads again, in the order in which they were read.
pub async fn replay(replay: Replay, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let clock = std::time::Instant::now();
    let (mut slices, mut unread) = (Vec::new(), Vec::new());
    for path in &replay.paths {
        for slice in archived(path).await? {
            match read_about(&slice) {
                Ok(about) => slices.push((about, slice)),
                Err(error) => unread.push(error),
            }
        }
    }
    let Some((first, _)) = slices.first() else {
        if let Some(error) = unread.pop() {
            return Err(error);
        }
        return Err(Error::NothingArchived { paths: replay.paths.iter().map(PathBuf::from).collect() });
    };
    // The organization is the environment; a tenant is not known to every way of signing in.
    if let Some((other, _)) = slices.iter().find(|(about, _)| about.organization != first.organization) {
        return Err(Error::Archive { what: format!("run {} is of another environment", other.run_id) });
    }
    let instance = Instance { organization: first.organization.clone(), tenant: first.tenant.clone() };
    slices.sort_by(|(a, _), (b, _)| a.finished_at.cmp(&b.finished_at));

    let started_at = local_time();
    let run = run_id(started_at);
    let lake = Lake::open(&replay.lake, replay.lake_options).await?;
    let _lock = lake.lock(&run).await?;
    let Condition { mut ledger, stopped, .. } = condition::open(&lake, &instance, None).await?;
    // It may need any of them.
    if let Some(error) = stopped.into_values().next() {
        return Err(error.into());
    }
    for (about, _) in &slices {
        ledger.learn_run(&about.run_id, instant(&about.started_at)?).await?;
    }
    ledger.start_run(&run, REPLAY, started_at).await?;
    observe(&Event::Started { run_id: run.clone(), continued: false });

    let mut reports = BTreeMap::new();
    let rejects = Rejects::of(&lake);
    let had_payloads = !lake.weeks(&PAYLOAD).await?.is_empty();
    let mut into =
        Into { lake, ledger, rejects, run, observe, stop: stop.clone(), had_payloads, reports: &mut reports };
    let mut stopped = false;
    for error in unread {
        // Nothing says of which table.
        let report = into.report(PAYLOAD.name);
        report.slices_failed += 1;
        report.reasons.push(error.to_string());
    }
    for (about, slice) in &slices {
        stopped = *stop.borrow();
        if stopped {
            break;
        }
        match into.slice(about, slice).await {
            Ok(()) => {}
            // It was given up in the middle.
            Err(Error::Archive { .. }) if *stop.borrow() => {}
            // What is damaged holds nothing else up.
            Err(Error::Archive { what }) => into.failed(about, what),
            // What was replayed before is true.
            Err(error) => return into.ledger.flush(&into.run).await.and(Err(error)),
        }
    }
    stopped |= *stop.borrow();
    let (run, ledger) = (into.run, into.ledger);
    let count = |of: fn(&TableReport) -> u64| reports.values().map(of).sum::<u64>();
    let outcome = match (
        count(|table| table.slices_failed + table.payloads_failed),
        count(|table| table.slices_done + table.payloads),
    ) {
        (1.., 0) => Outcome::Failed,
        (0, _) if !stopped => Outcome::Complete,
        _ => Outcome::Partial,
    };
    let report = Report {
        outcome,
        stopped,
        seconds: clock.elapsed().as_secs_f64(),
        tables: reports.into_values().collect(),
        ..Report::new(run)
    };
    ledger.end_run(REPLAY, started_at, local_time(), &report).await?;
    Ok(report)
}

fn read_about(slice: &ArchivedSlice) -> Result<SliceFile, Error> {
    let about: Result<SliceFile, _> = serde_json::from_str(slice.slice_json());
    let about = about.map_err(|error| wrong(slice, &format!("its description cannot be read: {error}")))?;
    if about.version > VERSION {
        return Err(wrong(slice, "a newer program made it"));
    }
    Ok(about)
}

fn wrong(slice: &ArchivedSlice, what: &str) -> Error {
    Error::Archive { what: format!("{}: {what}", slice.path) }
}

/// A file of the archive that cannot be read.
fn damaged(error: &copilot_lake_writer::Error) -> Error {
    Error::Archive { what: error.to_string() }
}

fn instant(text: &str) -> Result<Instant, Error> {
    Instant::parse(text).ok_or_else(|| Error::Archive { what: format!("`{text}` is no instant") })
}

/// The lake that archived slices go into.
struct Into<'a> {
    lake: Lake,
    ledger: Ledger,
    rejects: Rejects,
    run: String,
    observe: Observer,
    stop: Stop,
    /// The lake had payloads before: some may be newer than the archive's.
    had_payloads: bool,
    reports: &'a mut BTreeMap<&'static str, TableReport>,
}

impl Into<'_> {
    async fn slice(&mut self, about: &SliceFile, slice: &ArchivedSlice) -> Result<(), Error> {
        if about.table == PAYLOADS {
            return self.payloads(slice).await;
        }
        let table = table(&about.table).filter(|table| table.entity_set().is_some());
        let table = table.ok_or_else(|| wrong(slice, &format!("there is no table `{}`", about.table)))?;
        let mut counts = Counts {
            as_of: Some(instant(&about.as_of)?),
            requests: about.requests,
            throttled_seconds: about.throttled_seconds,
            ..Counts::default()
        };
        if about.clock == TRACKING {
            counts.pages = about.pages_read;
            self.gone(table, about).await?;
        } else {
            self.pages(table, about, slice, &mut counts).await?;
        }
        let clock = [CREATED, MODIFIED, TRACKING].into_iter().find(|clock| *clock == about.clock);
        let of = Slice {
            table,
            scope: about.scope.clone(),
            time_column: clock.ok_or_else(|| wrong(slice, "its clock is not known"))?,
            start: instant(&about.window_start)?,
            end: instant(&about.window_end)?,
        };
        let row = SliceRow {
            slice: of,
            selection: about.selection.clone(),
            status: Status::Done,
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
        let window = format!("{} {} to {}", of.time_column, of.start, of.end);
        let (rows_received, rows_written) = (counts.rows, counts.rows_written);
        (self.observe)(&Event::SliceDone { table: table.name, window, rows_received, rows_written });
        Ok(())
    }

    /// Notes that a slice could not be replayed.
    fn failed(&mut self, about: &SliceFile, reason: String) {
        let known = table(&about.table).map_or(PAYLOAD.name, |table| table.name);
        let window = format!("{} {} to {}", about.clock, about.window_start, about.window_end);
        let report = self.report(known);
        report.slices_failed += 1;
        report.reasons.push(reason.clone());
        (self.observe)(&Event::SliceNotDone { table: known, window, status: Status::Failed, reason });
    }

    fn report(&mut self, table: &'static str) -> &mut TableReport {
        self.reports.entry(table).or_insert_with(|| TableReport { table, ..TableReport::default() })
    }

    async fn pages(
        &self,
        table: &'static Table,
        about: &SliceFile,
        slice: &ArchivedSlice,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        let mut labels = Labels::default();
        for (column, code, label) in &about.labels {
            labels.insert(column, *code, label);
        }
        let cache = LabelCache::new(None);
        cache.learn(table, labels).await;
        let only: Option<HashSet<String>> = if table.name == SYSTEM_USER.name {
            let mut only = people::known(&self.lake).await?;
            only.extend(about.ids.iter().cloned());
            Some(only)
        } else {
            None
        };
        let selection = Selection::parse(&about.selection);
        // Of a selection that names nothing unknown the archive does not say whether there was any.
        let known = Selection::all(table);
        let asks_more = selection.wires().any(|wire| !known.names(wire));
        let ingest = Ingest {
            table,
            find: MergeMode::UpsertReread,
            lake: &self.lake,
            run_id: &self.run,
            rejects: &self.rejects,
            labels: &cache,
            coverage: Coverage::of(table, &selection, asks_more),
            named: &Named::default(),
            only: only.as_ref(),
            stop: &self.stop,
        };
        let pages = futures::stream::iter(&about.pages).map(Ok).and_then(|time| async move {
            let body = slice.page(time.number).await.map_err(|error| NotDone::Archive(error.to_string()))?;
            let at = Instant::parse(&time.extracted_at);
            let page = Page::read(time.number, body).ok().zip(at);
            page.ok_or_else(|| NotDone::Archive(format!("{}: page {} is damaged", slice.path, time.number)))
        });
        let run = async {
            let ready = ingest.read(pages, counts, |_, _| {}).await?;
            ready.commit(&self.run, counts).await
        };
        run.await.map_err(Error::from)
    }

    /// Rows that the service did not have any more.
    async fn gone(&mut self, table: &'static Table, about: &SliceFile) -> Result<(), Error> {
        let as_of = instant(&about.as_of)?;
        let deletes = Deletes::parse(&about.deletes).unwrap_or_default();
        let how = Forget { deletes, as_of, seen_until: Some(as_of) };
        let rows = deletes::forget(&self.lake, &self.run, &self.rejects, table, &about.gone, &how).await?;
        self.report(table.name).rows_deleted += rows;
        Ok(())
    }

    async fn payloads(&mut self, slice: &ArchivedSlice) -> Result<(), Error> {
        let index = slice.index().await.map_err(|error| damaged(&error))?;
        let mut lines = Vec::new();
        for line in index.lines() {
            let line: Result<PayloadLine, _> = serde_json::from_str(line);
            let line = line.map_err(|error| wrong(slice, &format!("its index cannot be read: {error}")))?;
            let row = line.row().ok_or_else(|| wrong(slice, "it names a column that is not known"))?;
            lines.push((instant(&line.extracted_at)?, row, line));
        }
        let listed: BTreeSet<u32> = lines.iter().filter_map(|(_, _, line)| line.number).collect();
        if let Some(number) = slice.payload_numbers().into_iter().find(|number| !listed.contains(number)) {
            return Err(wrong(slice, &format!("its index does not list payload {number}")));
        }
        self.keep_newer(&mut lines).await?;
        let mut done = BTreeMap::new();
        let mut part = Part::new(&self.lake, MergeMode::UpsertReread);
        // A batch is decoded with one time.
        for lines in lines.chunk_by(|a, b| a.0 == b.0) {
            let extracted_at = lines[0].0;
            let mut lines = lines.iter().peekable();
            while lines.peek().is_some() {
                let (mut payloads, mut gone, mut held) = (Vec::new(), Vec::new(), 0);
                while payloads.len() < DECODED_TOGETHER
                    && held < DECODED_TOGETHER_BYTES
                    && let Some((_, row, line)) = lines.next()
                {
                    let row = row.clone();
                    if line.is_gone() {
                        gone.push(row);
                        continue;
                    }
                    let bytes = match line.number {
                        Some(number) => match slice.payload(number).await {
                            Ok(bytes) => Some(bytes),
                            Err(error) => {
                                let report = self.report(row.table);
                                report.payloads_failed += 1;
                                report.reasons.push(damaged(&error).to_string());
                                continue;
                            }
                        },
                        None => None,
                    };
                    held += bytes.as_ref().map_or(0, |bytes| bytes.len());
                    *done.entry(row.table).or_insert(0) += 1;
                    payloads.push(RawPayload { row, fetched: line.fetched(bytes) });
                }
                let decoded = cpu::run(move || decode_payloads(&payloads, extracted_at)).await?;
                part.push(&self.rejects, &self.run, decoded, extracted_at).await?;
                part.forget(&self.rejects, &gone).await?;
            }
        }
        part.commit(&self.rejects, &self.run).await?;
        for (table, payloads) in done {
            self.report(table).payloads += payloads;
        }
        Ok(())
    }

    /// Leaves out what the lake has from a later time, and failures where it has something.
    async fn keep_newer(&self, lines: &mut Vec<(Instant, SourceRow, PayloadLine)>) -> Result<(), Error> {
        if !self.had_payloads {
            return Ok(());
        }
        let weeks: BTreeSet<Week> = lines.iter().map(|(_, row, _)| Week::of(row.row_time)).collect();
        for week in weeks {
            let held = Held::read(&self.lake, week).await?;
            lines.retain(|(at, row, line)| {
                let later = |held: Instant| held > *at || line.is_failed();
                Week::of(row.row_time) != week || !held.extracted_at(row).is_some_and(later)
            });
        }
        Ok(())
    }
}
