//! Progress of a run: a line per table on a terminal, else a line in the log every 30 s.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use copilot_lake_pipeline::{Event, SliceStatus};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::output::console::{Console, Level};
use crate::output::wording::{counted, grouped, seconds};

/// How often progress is logged where it cannot be drawn.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// The progress of a run.
pub(crate) struct Progress {
    console: Console,
    state: Mutex<RunProgress>,
}

#[derive(Default)]
struct RunProgress {
    started: bool,
    tables: BTreeMap<&'static str, TableProgress>,
}

struct TableProgress {
    bar: Option<ProgressBar>,
    since: Instant,
    slices: u64,
    ended: u64,
    rows: u64,
    payloads: u64,
    throttled_seconds: f64,
    /// Whether anything happened since it was last logged.
    changed: bool,
}

impl Progress {
    /// Progress before the first event.
    pub(crate) fn new(console: Console) -> Self {
        Self { console, state: Mutex::default() }
    }

    /// Whether the run holds the lake and may have done something.
    pub(crate) fn has_started(&self) -> bool {
        self.state().started
    }

    /// Counts an event, and prints it if a person or a program should know.
    pub(crate) fn observe(&self, event: &Event) {
        self.count(event);
        let (level, text) = match event {
            Event::Page { .. } => return,
            Event::Started { continued: true, .. } => (Level::Info, "resuming an unfinished run".to_owned()),
            Event::Started { run_id, .. } => (Level::Debug, format!("run {run_id}")),
            Event::ShardKnown { shard } => (Level::Info, format!("shard {shard} is in the lake already")),
            Event::ShardLeftOut { shard } => {
                (Level::Warning, format!("nothing of shard {shard} is in the lake: not all of it was replayed"))
            }
            Event::ShardsComplete { shards } => {
                (Level::Info, format!("{} in the lake, and none is missing", counted(u64::from(*shards), "shard")))
            }
            Event::Planned { table, slices } => {
                (Level::Debug, format!("{table}: {} to read", counted(*slices as u64, "slice")))
            }
            Event::SliceDone { table, window, rows_received, rows_written } => {
                let (received, written) = (counted(*rows_received, "row"), grouped(*rows_written));
                (Level::Debug, format!("{table} {window}: {received}, {written} new or changed"))
            }
            Event::SliceNotDone { table, window, status, reason } => {
                (Level::Warning, format!("{table} {window} {}: {reason}", status.name()))
            }
            Event::SlicesEnded { table, done, failed, skipped, rows_received, rows_written } => {
                let (done, failed, skipped) = (counted(*done, "slice"), grouped(*failed), grouped(*skipped));
                let (received, written) = (counted(*rows_received, "row"), grouped(*rows_written));
                let text = format!(
                    "{table}: {done} done, {failed} failed, {skipped} skipped; {received}, {written} new or changed"
                );
                (Level::Debug, text)
            }
            Event::SlicesNotDone { table, status, reason, slices } => {
                // Skipped slices, such as of users without a mailbox, need no action.
                let level = if *status == SliceStatus::Failed { Level::Warning } else { Level::Info };
                (level, format!("{table}: {} {}: {reason}", counted(*slices, "slice"), status.name()))
            }
            Event::Deleted { table, rows } => {
                (Level::Debug, format!("{table}: {} deleted at the service", counted(*rows, "row")))
            }
            Event::Payloads { table, payloads, failed } => {
                (Level::Debug, format!("{table}: {}, {} failed", counted(*payloads, "payload"), grouped(*failed)))
            }
        };
        let mut fields = match serde_json::to_value(event) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let name = fields.remove("event").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        // Programs get every event; people get what they can act on.
        let level = if self.console.is_json() { level.min(Level::Info) } else { level };
        self.console.event(level, &name, &text, fields);
    }

    /// Logs progress for as long as it is polled; never returns.
    pub(crate) async fn log(&self) {
        let mut timer = tokio::time::interval(LOG_EVERY);
        timer.tick().await;
        loop {
            timer.tick().await;
            if self.console.logs_progress() {
                self.log_now();
            }
        }
    }

    /// Removes the progress bars from the terminal.
    pub(crate) fn finish(&self) {
        for table in self.state().tables.values_mut() {
            if let Some(bar) = table.bar.take() {
                bar.finish_and_clear();
            }
        }
    }

    fn count(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Started { .. } => state.started = true,
            Event::Deleted { .. }
            | Event::SlicesNotDone { .. }
            | Event::ShardKnown { .. }
            | Event::ShardLeftOut { .. }
            | Event::ShardsComplete { .. } => {}
            Event::SlicesEnded { table, done, failed, skipped, .. } => {
                self.table(&mut state, table).ended += done + failed + skipped;
            }
            Event::Planned { table, slices } => {
                let table = self.table(&mut state, table);
                table.slices += *slices as u64;
                if let Some(bar) = &table.bar {
                    bar.set_length(table.slices);
                }
            }
            Event::Page { table, rows, throttled_seconds } => {
                let table = self.table(&mut state, table);
                table.rows += rows;
                table.throttled_seconds += throttled_seconds;
            }
            Event::SliceDone { table, .. } | Event::SliceNotDone { table, .. } => {
                self.table(&mut state, table).ended += 1;
            }
            Event::Payloads { table, payloads, .. } => self.table(&mut state, table).payloads += payloads,
        }
        for table in state.tables.values().filter(|table| table.changed) {
            if let Some(bar) = &table.bar {
                bar.set_position(table.ended);
                bar.set_message(table.text());
            }
        }
    }

    /// The progress of a table, which the caller is about to change.
    fn table<'a>(&self, state: &'a mut RunProgress, name: &'static str) -> &'a mut TableProgress {
        let table = state.tables.entry(name).or_insert_with(|| TableProgress {
            bar: self.console.bars().map(|bars| {
                let bar = bars.add(ProgressBar::new(0));
                let template = "{spinner} {prefix}  {bar:10} {pos}/{len} slices  {wide_msg}";
                let style = ProgressStyle::with_template(template);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
                bar.set_prefix(name);
                // Events may be far apart while payloads are fetched: the bar keeps moving.
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            }),
            since: Instant::now(),
            slices: 0,
            ended: 0,
            rows: 0,
            payloads: 0,
            throttled_seconds: 0.0,
            changed: false,
        });
        table.changed = true;
        table
    }

    fn log_now(&self) {
        let mut state = self.state();
        for (name, table) in &mut state.tables {
            if !std::mem::take(&mut table.changed) {
                continue;
            }
            // Some slices are known only when they begin.
            let slices = match table.ended > table.slices {
                true => counted(table.ended, "slice"),
                false => format!("{} of {} slices", table.ended, table.slices),
            };
            let text = format!("{name}: {slices}, {}", table.text());
            let fields = json!({
                "table": name,
                "slices_ended": table.ended,
                "slices_planned": table.slices,
                "rows_received": table.rows,
                "rows_per_second": table.rate().round(),
                "payloads": table.payloads,
                "throttled_seconds": table.throttled_seconds,
            });
            let Value::Object(fields) = fields else { continue };
            self.console.event(Level::Info, "progress", &text, fields);
        }
    }

    fn state(&self) -> MutexGuard<'_, RunProgress> {
        // Counters are never half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TableProgress {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.since.elapsed().as_secs_f64().max(0.1)
    }

    /// Rows, rows/s, payloads, throttled time and estimate, as far as known.
    fn text(&self) -> String {
        let mut parts = vec![counted(self.rows, "row")];
        if self.ended < self.slices {
            parts.push(format!("{}/s", grouped(self.rate().round() as u64)));
        }
        if self.payloads > 0 {
            parts.push(counted(self.payloads, "payload"));
        }
        if self.throttled_seconds > 0.0 {
            parts.push(format!("throttled {}", seconds(self.throttled_seconds)));
        }
        if self.ended > 0 && self.ended < self.slices {
            let each = self.since.elapsed().as_secs_f64() / self.ended as f64;
            parts.push(format!("{} left", seconds(each * (self.slices - self.ended) as f64)));
        }
        parts.join(", ")
    }
}
