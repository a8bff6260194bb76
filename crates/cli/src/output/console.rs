//! Everything that goes to stderr: messages, the log of the crates, progress; as text or as JSON.

use std::io::Write;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{GlobalArgs, LogFormat};
use crate::config::moment;
use crate::environment;
use crate::output::printable::{clean_value, cleaned};
use crate::problem::Problem;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The one writer of stderr. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct Console {
    json: bool,
    most: Level,
    /// Whether progress is drawn in place.
    draws: bool,
    /// Whether progress is shown at all.
    progress: bool,
    bars: MultiProgress,
}

impl Console {
    /// The console that the flags ask for.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let json = global.log == LogFormat::Json;
        let most = match (global.quiet, global.verbose) {
            (true, _) => Level::Error,
            (false, 0) => Level::Info,
            (false, 1) => Level::Debug,
            (false, _) => Level::Trace,
        };
        let progress = !global.no_progress && !global.quiet;
        let draws = progress && !json && environment::stderr_is_terminal();
        let target = if draws { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        Self { json, most, draws, progress, bars: MultiProgress::with_draw_target(target) }
    }

    /// A console for errors before the flags are known.
    pub(crate) fn plain() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self { json: false, most: Level::Info, draws: false, progress: false, bars }
    }

    /// Sends log events here: those of our crates as the flags say, of dependencies only warnings.
    pub(crate) fn catch_log(&self) {
        let (ours, others) = match self.most {
            Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
            Level::Warning | Level::Info => (LevelFilter::INFO, LevelFilter::WARN),
            Level::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
            Level::Trace => (LevelFilter::TRACE, LevelFilter::INFO),
        };
        let filter = Targets::new().with_default(others).with_target("copilot_lake", ours);
        // They repeat the error that is returned; that of the Delta kernel, with a backtrace.
        let repeated = if self.most == Level::Trace { others } else { LevelFilter::OFF };
        let filter = filter.with_target("rustls_platform_verifier", LevelFilter::OFF);
        let filter = filter.with_target("buoyant_kernel", repeated);
        let log = LogLayer { console: Arc::new(self.clone()) };
        // It fails only if a subscriber is already installed, which then gets the events.
        let _ = tracing_subscriber::registry().with(log.with_filter(filter)).try_init();
    }

    /// The area for progress bars, if they are drawn.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.draws.then_some(&self.bars)
    }

    /// Whether progress is to be logged, line by line.
    pub(crate) fn logs_progress(&self) -> bool {
        self.progress && !self.draws
    }

    /// Whether events are JSON objects.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether such messages are shown.
    pub(crate) fn shows(&self, level: Level) -> bool {
        level <= self.most
    }

    /// Prints a message.
    pub(crate) fn info(&self, text: &str) {
        self.event(Level::Info, "message", text, Map::new());
    }

    /// Prints a warning.
    pub(crate) fn warning(&self, text: &str) {
        self.event(Level::Warning, "warning", text, Map::new());
    }

    /// Prints a detail.
    pub(crate) fn debug(&self, text: &str) {
        self.event(Level::Debug, "debug", text, Map::new());
    }

    /// Prints why the command ends, and what to do next.
    pub(crate) fn problem(&self, problem: &Problem) {
        if self.json {
            let mut fields = Map::new();
            fields.insert("hint".to_owned(), json!(problem.hint));
            fields.insert("exit_code".to_owned(), json!(problem.code as u8));
            self.event(Level::Error, "error", &problem.message, fields);
        } else {
            self.text_line(&format!("error: {}", problem.message));
            if let Some(hint) = &problem.hint {
                self.text_line(&format!("hint: {hint}"));
            }
        }
    }

    /// An event: its text for people, its fields for programs.
    pub(crate) fn event(&self, level: Level, event: &str, text: &str, fields: Map<String, Value>) {
        // Programs wait for the summary, however quiet the console is.
        let awaited = self.json && event == "summary";
        if !self.shows(level) && !awaited {
            return;
        }
        if self.json && event == "message" && text.is_empty() {
            // An empty line only separates others on a screen.
        } else if self.json {
            let mut object = Map::new();
            object.insert("time".to_owned(), json!(moment::now().to_string()));
            object.insert("level".to_owned(), json!(level.name()));
            object.insert("event".to_owned(), json!(event));
            if !text.is_empty() {
                object.insert("message".to_owned(), json!(text));
            }
            for (name, value) in fields {
                object.entry(name).or_insert(value);
            }
            self.json_line(Value::Object(object));
        } else {
            match level {
                Level::Info => self.text_line(text),
                level => self.text_line(&format!("{}: {text}", level.name())),
            }
        }
    }

    /// Prints a text on one line. No part of it, whatever its origin, controls the terminal or forges another line.
    fn text_line(&self, text: &str) {
        self.line(&cleaned(text));
    }

    /// Prints an object whose texts a reader may print as they are.
    fn json_line(&self, mut object: Value) {
        clean_value(&mut object);
        self.line(&object.to_string());
    }

    /// Prints a line, above the progress bars if they are drawn.
    fn line(&self, text: &str) {
        self.bars.suspend(|| {
            // If stderr is closed, there is nowhere to report it.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        });
    }
}

/// Forwards log events to the console.
struct LogLayer {
    console: Arc<Console>,
}

impl<S: tracing::Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        };
        if !self.console.shows(level) {
            return;
        }
        let mut fields = LogFields::default();
        event.record(&mut fields);
        let mut text = fields.message;
        if !self.console.json {
            for (name, value) in &fields.others {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.push_str(&format!(" {name}={value}"));
            }
        }
        fields.others.insert("target".to_owned(), json!(event.metadata().target()));
        self.console.event(level, "log", text.trim(), fields.others);
    }
}

/// The fields of a log event.
#[derive(Default)]
struct LogFields {
    message: String,
    others: Map<String, Value>,
}

impl LogFields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for LogFields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }
}
