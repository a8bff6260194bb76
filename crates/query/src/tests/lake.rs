//! A lake of hand-made events in a temporary directory.

use std::collections::BTreeMap;
use std::fs::{File, create_dir_all};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use copilot_lake_tables::{COPILOT_EVENT, ChoiceSet, INTERACTION_TYPE, Instant, SCENARIO_TYPE, TABLES, Table, Week};
use datafusion::arrow::util::pretty::pretty_format_batches;
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use crate::{Error, Session};
use copilot_lake_writer::LakeFile;

pub(super) const UP: i32 = 100_230_301;
pub(super) const DOWN: i32 = 100_230_302;
pub(super) const CLEAR: i32 = 100_230_303;
pub(super) const COPY: i32 = 100_230_304;
pub(super) const GENERATED: i32 = 100_230_305;
pub(super) const SEND: i32 = 100_230_306;
pub(super) const MANUAL_COPY: i32 = 100_230_308;
pub(super) const AVAILABLE: i32 = 100_230_309;
pub(super) const KEEP: i32 = 100_230_316;
pub(super) const DISCARD: i32 = 100_230_317;
pub(super) const ASK: i32 = 100_230_201;
pub(super) const EMAIL: i32 = 100_230_203;
pub(super) const AUTONOMOUS: i32 = 100_230_218;

/// A row of either store, or of the older one's feedback; what is not said is plain: owned by the representative `ann`,
/// no client time, version 1.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) partition: &'static str,
    pub(super) kind: Option<i32>,
    pub(super) scenario: Option<i32>,
    pub(super) request: Option<&'static str>,
    pub(super) created: Option<Instant>,
    pub(super) client: Option<Instant>,
    pub(super) version: i64,
    pub(super) user: &'static str,
    pub(super) maker: Option<&'static str>,
    pub(super) data: Option<&'static str>,
    pub(super) verbatim: Option<&'static str>,
    pub(super) agent: Option<i32>,
    pub(super) deleted: bool,
}

pub(super) fn event(kind: i32, scenario: i32, request: &'static str, created: &str) -> Event {
    Event {
        id: String::new(),
        partition: "p",
        kind: Some(kind),
        scenario: Some(scenario),
        request: Some(request).filter(|request| !request.is_empty()),
        created: Some(Instant::parse(created).unwrap()),
        client: None,
        version: 1,
        user: "ann",
        maker: None,
        data: None,
        verbatim: None,
        agent: None,
        deleted: false,
    }
}

impl Event {
    pub(super) fn client(mut self, client: &str) -> Self {
        self.client = Some(Instant::parse(client).unwrap());
        self
    }

    pub(super) fn by(mut self, user: &'static str) -> Self {
        self.user = user;
        self
    }

    pub(super) fn says(mut self, verbatim: &'static str) -> Self {
        self.verbatim = Some(verbatim);
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Its user; the empty text stands for nobody.
    fn owner(&self) -> Option<&'static str> {
        Some(self.user).filter(|user| !user.is_empty())
    }

    fn week(&self) -> Week {
        self.created.map_or(Week::UNKNOWN, Week::of)
    }
}

/// Files in a temporary directory, as the log would list them.
pub(super) struct TestLake {
    pub(super) directory: TempDir,
    pub(super) files: BTreeMap<&'static str, Vec<LakeFile>>,
}

impl TestLake {
    /// Rows of the newer store.
    pub(super) fn of(events: &[Event]) -> Self {
        let mut lake = Self { directory: TempDir::new().unwrap(), files: BTreeMap::new() };
        lake.add(&COPILOT_EVENT, events);
        lake
    }

    /// One more file per week of these rows.
    pub(super) fn add(&mut self, table: &'static Table, events: &[Event]) {
        let mut weeks: BTreeMap<Week, Vec<Event>> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            let mut event = event.clone();
            if event.id.is_empty() {
                event.id = format!("e{at:03}");
            }
            weeks.entry(event.week()).or_default().push(event);
        }
        for (week, events) in weeks {
            self.write(table, Some(week), &rows(table, &events));
        }
    }

    pub(super) fn write(&mut self, table: &'static Table, week: Option<Week>, batch: &RecordBatch) {
        let files = self.files.entry(table.name).or_default();
        let folder = match week {
            Some(week) => format!("{}/week_start={week}", table.name),
            None => table.name.to_owned(),
        };
        let path = format!("{folder}/part-{}.parquet", files.len());
        create_dir_all(self.directory.path().join(folder)).unwrap();
        let file = File::create(self.directory.path().join(&path)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let size = self.directory.path().join(&path).metadata().unwrap().len();
        files.push(LakeFile { path, size, rows: batch.num_rows() as u64, week });
    }

    pub(super) async fn session(&self, params: &[(&str, &str)]) -> Session {
        let store = LocalFileSystem::new_with_prefix(self.directory.path()).unwrap();
        let tables = TABLES.iter().filter(|table| table.view_of().is_none());
        let tables = tables.map(|table| (*table, self.files.get(table.name).cloned().unwrap_or_default())).collect();
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Session::over(tables, Arc::new(store), &params).await.unwrap()
    }
}

/// The answer as a table of text.
pub(super) async fn answer(session: &Session, sql: &str) -> String {
    try_answer(session, sql).await.unwrap()
}

pub(super) async fn try_answer(session: &Session, sql: &str) -> Result<String, Error> {
    let (_, batches) = session.sql(sql).await?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// Events of the newer store as the decoder would hand them on.
pub(super) fn batch(events: &[Event]) -> RecordBatch {
    rows(&COPILOT_EVENT, events)
}

/// Every column of the table, labels filled in.
pub(super) fn rows(table: &'static Table, events: &[Event]) -> RecordBatch {
    fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
    fn instants(values: impl Iterator<Item = Option<Instant>>) -> ArrayRef {
        let micros = values.map(|value| value.map(|instant| instant.0)).collect::<TimestampMicrosecondArray>();
        Arc::new(micros.with_timezone("UTC"))
    }
    let label = |set: &'static ChoiceSet, code: fn(&Event) -> Option<i32>| {
        text(events.iter().map(|event| code(event).and_then(|code| set.label(code))))
    };
    let schema = table.layout().schema();
    let arrays = schema.fields().iter().map(|field| match field.name().as_str() {
        "partitionid" => text(events.iter().map(|event| Some(event.partition))),
        name if table.key.contains(&name) => text(events.iter().map(|event| Some(event.id.as_str()))),
        "createdon" => instants(events.iter().map(|event| event.created)),
        "row_time" | "extracted_at" => {
            instants(events.iter().map(|event| event.created.or(Some(Week::UNKNOWN.start()))))
        }
        "deleted_at" => instants(events.iter().map(|event| event.created.filter(|_| event.deleted))),
        "msdyn_clienttimestamp" => instants(events.iter().map(|event| event.client)),
        "msdyn_scenariotype" => Arc::new(events.iter().map(|event| event.scenario).collect::<Int32Array>()),
        "msdyn_scenariotype_label" => label(&SCENARIO_TYPE, |event| event.scenario),
        "msdyn_interactiontype" => Arc::new(events.iter().map(|event| event.kind).collect::<Int32Array>()),
        "msdyn_interactiontype_label" => label(&INTERACTION_TYPE, |event| event.kind),
        "msdyn_aiagent" => Arc::new(events.iter().map(|event| event.agent).collect::<Int32Array>()),
        "msdyn_scenariorequestid" => text(events.iter().map(|event| event.request)),
        "createdby" if table.column("ownerid").is_none() => text(events.iter().map(Event::owner)),
        "createdby" => text(events.iter().map(|event| event.maker)),
        "msdyn_interactiondataid" => text(events.iter().map(|event| event.data)),
        "context_streaming_state" => text(events.iter().map(|_| Some(table.name))),
        "ownerid" => text(events.iter().map(Event::owner)),
        "transcript_data_id" => text(events.iter().map(|event| event.request)),
        "versionnumber" => Arc::new(events.iter().map(|event| Some(event.version)).collect::<Int64Array>()),
        "msdyn_verbatim" => text(events.iter().map(|event| event.verbatim)),
        _ => new_null_array(field.data_type(), events.len()),
    });
    RecordBatch::try_new(Arc::clone(schema), arrays.collect()).unwrap()
}
