//! Replay: archived pages and payloads into a lake, without a request.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use copilot_lake_decoder::decode_payloads;
use copilot_lake_extractor::{Page, Slice};
use copilot_lake_tables::{Instant, Labels, SYSTEM_USER, Table, table};
use copilot_lake_writer::{ArchivedSlice, Find, Instance, Lake, LakeOptions, archived};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;

use crate::archive::{PAYLOADS, PayloadLine, SliceFile, TRACKING, VERSION};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ingest::{Counts, Ingest, Named, NotDone};
use crate::labels::LabelCache;
use crate::ledger::{Ledger, SliceRow};
use crate::payloads::{DECODED_TOGETHER, DECODED_TOGETHER_BYTES, Part};
use crate::plan::{CREATED, MODIFIED};
use crate::rejects::Rejects;
use crate::report::{Outcome, Report, TableReport};
use crate::run::{local_time, run_id};
use crate::settings::{Deletes, Stop};
use crate::{cpu, deletes, derived, people};

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
    let mut slices = Vec::new();
    for path in &replay.paths {
        for slice in archived(path).await? {
            slices.push((read_about(&slice)?, slice));
        }
    }
    let Some((first, _)) = slices.first() else {
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
    lake.prepare(&instance, false).await?;
    let mut ledger = Ledger::read(&lake).await?;
    if ledger.last_is_unfinished() {
        lake.prepare(&instance, true).await?;
    }
    for (about, _) in &slices {
        ledger.learn_run(&about.run_id, instant(&about.started_at)?).await?;
    }
    ledger.start_run(&run, "replay", started_at).await?;
    observe(&Event::Started { run_id: run.clone(), continued: false });

    let mut reports = BTreeMap::new();
    let rejects = Rejects::read(&lake).await?;
    let (_keep, never) = watch::channel(false);
    let mut into = Into { lake, ledger, rejects, run, observe, stop: never, reports: &mut reports };
    let mut stopped = false;
    let mut walked = Ok(());
    for (about, slice) in &slices {
        if *stop.borrow() {
            stopped = true;
            break;
        }
        walked = into.slice(about, slice).await;
        if walked.is_err() {
            break;
        }
    }
    let (run, ledger) = (into.run, into.ledger);
    let outcome = match (&walked, stopped) {
        (Ok(()), false) => Outcome::Complete,
        _ => Outcome::Partial,
    };
    let report = Report {
        run_id: run,
        outcome,
        stopped,
        permission_missing: false,
        seconds: clock.elapsed().as_secs_f64(),
        requests: 0,
        throttled_seconds: 0.0,
        tables: reports.into_values().collect(),
    };
    walked?;
    ledger.end_run("replay", started_at, local_time(), &report).await?;
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
            clock: clock.ok_or_else(|| wrong(slice, "its clock is not known"))?,
            start: instant(&about.window_start)?,
            end: instant(&about.window_end)?,
        };
        let row = SliceRow {
            slice: &of,
            selection: &about.selection,
            status: "done",
            reason: None,
            counts: about.counts,
            token: about.token.as_deref(),
            finished_at: instant(&about.finished_at)?,
            received: &counts,
        };
        self.ledger.record_again(&about.run_id, &row).await?;
        let report = self.report(table.name);
        report.slices_done += 1;
        report.pages += counts.pages;
        report.rows_received += counts.rows;
        report.rows_written += counts.rows_written;
        report.files_added += counts.files_added;
        report.rejected += counts.rejected;
        let window = format!("{} {} to {}", of.clock, of.start, of.end);
        let (rows_received, rows_written) = (counts.rows, counts.rows_written);
        (self.observe)(&Event::SliceDone { table: table.name, window, rows_received, rows_written });
        Ok(())
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
        let ingest = Ingest {
            table,
            find: Find::ByKey,
            lake: &self.lake,
            run_id: &self.run,
            rejects: &self.rejects,
            labels: &cache,
            named: &Named::default(),
            only: only.as_ref(),
            stop: &self.stop,
        };
        let pages = futures::stream::iter(&about.pages).map(Ok).and_then(|time| async move {
            let body = slice.page(time.number).await?;
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
        let keys: HashSet<&Vec<String>> = about.gone.iter().collect();
        let ids = about.gone.iter().filter_map(|key| key.first().cloned()).collect();
        let mut gone = Vec::new();
        for batch in self.lake.rows_of(table, &ids).await? {
            let is_gone: BooleanArray =
                derived::keys_of(table, &batch).iter().map(|key| Some(keys.contains(key))).collect();
            gone.push(filter_record_batch(&batch, &is_gone).map_err(Error::rows(table))?);
        }
        let how = (Deletes::parse(&about.deletes).unwrap_or_default(), instant(&about.as_of)?);
        let rows = deletes::forget(&self.lake, &self.run, &self.rejects, table, &gone, how).await?;
        self.report(table.name).rows_deleted += rows;
        Ok(())
    }

    async fn payloads(&mut self, slice: &ArchivedSlice) -> Result<(), Error> {
        let index = slice.index().await?;
        let lines = index.lines().map(serde_json::from_str::<PayloadLine>);
        let lines = lines.collect::<Result<Vec<_>, _>>();
        let lines = lines.map_err(|error| wrong(slice, &format!("its index cannot be read: {error}")))?;
        let mut part = Part::new(&self.lake);
        // A batch is decoded with one time.
        for lines in lines.chunk_by(|a, b| a.extracted_at == b.extracted_at) {
            let extracted_at = instant(&lines[0].extracted_at)?;
            let mut lines = lines.iter().peekable();
            while lines.peek().is_some() {
                let (mut payloads, mut held) = (Vec::new(), 0);
                while payloads.len() < DECODED_TOGETHER
                    && held < DECODED_TOGETHER_BYTES
                    && let Some(line) = lines.next()
                {
                    let bytes = match line.number {
                        Some(number) => Some(slice.payload(number).await?),
                        None => None,
                    };
                    held += bytes.as_ref().map_or(0, |bytes| bytes.len());
                    let payload = line.payload(bytes);
                    let payload = payload.ok_or_else(|| wrong(slice, "it names a column that is not known"))?;
                    self.report(payload.row.table).payloads += 1;
                    payloads.push(payload);
                }
                let decoded = cpu::run(move || decode_payloads(&payloads, extracted_at)).await?;
                part.push(&self.rejects, &self.run, decoded, extracted_at).await?;
            }
        }
        part.commit(&self.run).await
    }
}
