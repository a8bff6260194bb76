//! Query results on stdout, in a file or in a store: aligned columns, records, CSV, JSON lines or Parquet, batch by batch.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::LineDelimited;
use copilot_lake_writer::FileRights;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::args::Format;
use crate::environment;
use crate::output::aligned::Aligned;
use crate::output::csv_texts::CsvTexts;
use crate::output::json_escapes::JsonEscapes;
use crate::output::newest_weeks::NewestWeeks;
use crate::output::output_target::{OutputCompletion, OutputTarget};
use crate::output::records::Records;
use crate::output::shown_rows::ShownRows;
use crate::problem::usage;

/// How a result is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResultOptions {
    /// Without one, the file's extension decides; the default is a table.
    pub(crate) format: Option<Format>,
    /// Whether cells of CSV that a spreadsheet would take for formulas are made texts.
    pub(crate) csv_safe: bool,
    /// Who may read the file.
    pub(crate) rights: FileRights,
    /// Whether a terminal may get the newest weeks first: the order is not one that the user wrote.
    pub(crate) newest_first: bool,
}

/// A result that is being written.
pub(crate) struct ResultWriter {
    writer: FormatWriter,
    /// On a terminal, which rows it gets; `None`: all of them.
    shown: Option<ShownRows>,
    completion: OutputCompletion,
}

enum FormatWriter {
    Aligned(Aligned<ResultSink>),
    NewestWeeks(NewestWeeks<ResultSink>),
    Records(Records<ResultSink>),
    Csv(Box<arrow::csv::Writer<ResultSink>>, CsvTexts),
    Json(arrow::json::Writer<JsonEscapes<ResultSink>, LineDelimited>),
    Parquet(Box<ArrowWriter<ResultSink>>),
}

type ResultSink = BufWriter<Box<dyn Write + Send>>;

impl ResultWriter {
    /// Begins a result with these columns.
    pub(crate) fn begin(target: OutputTarget, options: ResultOptions, schema: &SchemaRef) -> Result<Self> {
        let columns = environment::terminal_columns().filter(|_| matches!(target, OutputTarget::Stdout));
        let terminal = columns.is_some();
        let format = match (options.format, &target) {
            (Some(format), _) => format,
            (None, OutputTarget::Stdout) => Format::Table,
            (None, OutputTarget::File(path)) => of_extension(path)?,
            (None, OutputTarget::Store(_, url)) => of_extension(Path::new(url))?,
        };
        if terminal && format == Format::Parquet {
            return Err(usage("Parquet is not for a terminal").hint("name a file with `--output FILE`").into());
        }
        if options.csv_safe && format != Format::Csv {
            return Err(usage("`--csv-safe` is for CSV")
                .hint("as in `--format csv --csv-safe`; or leave it out")
                .into());
        }
        if format == Format::Csv
            && let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested())
        {
            return Err(usage(format!("CSV cannot hold column `{}`: its values are nested", field.name()))
                .hint("use `--format json`, or select its parts")
                .into());
        }
        let unwritten = target.unwritten();
        let (sink, completion) = target.begin(options.rights)?;
        let sink = BufWriter::with_capacity(1 << 16, sink);
        let week = NewestWeeks::<ResultSink>::week_column(schema).filter(|_| terminal && options.newest_first);
        let writer = match (format, week) {
            (Format::Table, Some(week)) => {
                FormatWriter::NewestWeeks(NewestWeeks::new(Aligned::new(sink, schema, columns), week))
            }
            (Format::Table, None) => FormatWriter::Aligned(Aligned::new(sink, schema, columns)),
            (Format::Record, _) => FormatWriter::Records(Records::new(sink, schema, columns)),
            (Format::Csv, _) => {
                let texts = CsvTexts { clean: terminal, defuse: options.csv_safe };
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(sink);
                // The header is written even if there are no rows.
                writer.write(&RecordBatch::new_empty(texts.schema(schema))).context(unwritten)?;
                FormatWriter::Csv(Box::new(writer), texts)
            }
            (Format::Json, _) => {
                let json = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                FormatWriter::Json(json.build(JsonEscapes::new(sink)))
            }
            (Format::Parquet, _) => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                FormatWriter::Parquet(Box::new(ArrowWriter::try_new(sink, schema.clone(), Some(properties))?))
            }
        };
        let is_cut = terminal && matches!(writer, FormatWriter::Aligned(_) | FormatWriter::Records(_));
        Ok(Self { writer, shown: is_cut.then(ShownRows::default), completion })
    }

    /// Writes rows. Returns `false` if no more are wanted.
    pub(crate) async fn push(&mut self, batch: &RecordBatch) -> Result<bool> {
        let (rows, wants_more) = match &mut self.shown {
            Some(shown) => (shown.take(batch.num_rows()), shown.wants_more()),
            None => (batch.num_rows(), true),
        };
        self.format(&batch.slice(0, rows))?;
        self.completion.send().await?;
        Ok(wants_more)
    }

    fn format(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            FormatWriter::Aligned(writer) => writer.push(batch)?,
            FormatWriter::NewestWeeks(writer) => writer.push(batch),
            FormatWriter::Records(writer) => writer.push(batch)?,
            FormatWriter::Csv(writer, texts) => writer.write(&texts.rows(batch)?)?,
            FormatWriter::Json(writer) => writer.write(batch)?,
            FormatWriter::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Completes the result; a file gets its final name.
    pub(crate) async fn finish(self) -> Result<()> {
        let gap = if matches!(self.writer, FormatWriter::Records(_)) { "\n" } else { "" };
        let mut sink = match self.writer {
            FormatWriter::Aligned(writer) => writer.finish()?,
            FormatWriter::NewestWeeks(writer) => writer.finish()?,
            FormatWriter::Records(writer) => writer.finish(),
            FormatWriter::Csv(writer, _) => writer.into_inner(),
            FormatWriter::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner().into_inner()
            }
            FormatWriter::Parquet(writer) => writer.into_inner()?,
        };
        if let Some(footer) = self.shown.and_then(|shown| shown.footer()) {
            write!(sink, "{gap}{footer}")?;
        }
        sink.flush()?;
        drop(sink);
        self.completion.finish().await
    }

    /// Leaves nothing of a result that cannot be completed.
    pub(crate) async fn discard(self) {
        self.completion.discard().await;
    }
}

/// The format that a file's extension names; a table when it has none.
fn of_extension(path: &Path) -> Result<Format> {
    match path.extension().map(|extension| extension.to_str().unwrap_or_default()) {
        Some("csv") => Ok(Format::Csv),
        Some("json" | "jsonl" | "ndjson") => Ok(Format::Json),
        Some("parquet") => Ok(Format::Parquet),
        None | Some("txt") => Ok(Format::Table),
        Some(_) => Err(usage(format!("no format is known by the extension of `{}`", path.display()))
            .hint("known are `.csv`, `.json`, `.parquet` and `.txt`; or say `--format`")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};
    use futures::FutureExt as _;

    use super::*;
    use crate::problem::{ExitCode, Problem};

    fn batch() -> RecordBatch {
        let when = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC");
        RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("a,\"b\""), None])) as ArrayRef),
            ("count", Arc::new(Int64Array::from(vec![1, 20]))),
            ("at", Arc::new(when)),
        ])
        .unwrap()
    }

    /// What a future yields that waits for nothing, as those of files do.
    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().unwrap()
    }

    fn written(name: &str, batches: &[RecordBatch]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let mut output =
            ResultWriter::begin(OutputTarget::File(path.clone()), ResultOptions::default(), &batch().schema()).unwrap();
        for batch in batches {
            assert!(now(output.push(batch)).unwrap());
        }
        assert!(!path.exists());
        now(output.finish()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn an_unknown_extension_is_refused_and_a_failed_result_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let begin = |name: &str| {
            let target = OutputTarget::File(dir.path().join(name));
            ResultWriter::begin(target, ResultOptions::default(), &batch().schema())
        };
        assert!(
            begin("x.xlsx").is_err_and(|error| error.to_string().starts_with("no format is known by the extension"))
        );
        let mut output = begin("x.csv").unwrap();
        now(output.push(&batch())).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(output);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nested_values_are_refused_in_csv_before_a_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let counts = Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        let counted = || Arc::new(Field::new("count", DataType::Int64, true));
        let list = ListArray::new(counted(), OffsetBuffer::from_lengths([1]), Arc::clone(&counts), None);
        let parts = StructArray::new(vec![counted()].into(), vec![Arc::clone(&counts)], None);
        for (column, json) in [(Arc::new(list) as ArrayRef, "[1]"), (Arc::new(parts), "{\"count\":1}")] {
            let batch = RecordBatch::try_from_iter([("count", Arc::clone(&counts)), ("all", column)]).unwrap();
            let begin = |name: &str| {
                let target = OutputTarget::File(dir.path().join(name));
                ResultWriter::begin(target, ResultOptions::default(), &batch.schema())
            };
            let refused = begin("x.csv").err().unwrap();
            let problem: &Problem = refused.downcast_ref().unwrap();
            assert_eq!(problem.to_string(), "CSV cannot hold column `all`: its values are nested");
            assert_eq!(problem.code, ExitCode::Usage);
            assert_eq!(problem.hint.as_deref(), Some("use `--format json`, or select its parts"));
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
            let mut output = begin("x.json").unwrap();
            now(output.push(&batch)).unwrap();
            now(output.finish()).unwrap();
            let path = dir.path().join("x.json");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{{\"count\":1,\"all\":{json}}}\n"));
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_extension_names_the_format() {
        let text = |name| String::from_utf8(written(name, &[batch(), batch().slice(0, 0)])).unwrap();
        assert_eq!(
            text("x.csv"),
            "name,count,at\n\"a,\"\"b\"\"\",1,1970-01-01T00:00:00Z\n,20,1970-01-01T00:00:00.000001Z\n"
        );
        assert_eq!(
            text("x.json"),
            "{\"name\":\"a,\\\"b\\\"\",\"count\":1,\"at\":\"1970-01-01T00:00:00Z\"}\n\
             {\"name\":null,\"count\":20,\"at\":\"1970-01-01T00:00:00.000001Z\"}\n"
        );
        let table = text("x.txt");
        assert!(table.starts_with("name   count  at\n"), "{table}");
        assert!(written("x.parquet", &[batch()]).starts_with(b"PAR1"));
    }

    #[test]
    fn controls_are_escaped_in_json_and_formulas_defused_in_csv_on_request() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["=1+1", "\u{9b}31m\u{202e}"]));
        let batch = RecordBatch::try_from_iter([("t", texts)]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let text = |format, csv_safe| {
            let options = ResultOptions { format: Some(format), csv_safe, ..ResultOptions::default() };
            let mut output = ResultWriter::begin(OutputTarget::File(path.clone()), options, &batch.schema())?;
            now(output.push(&batch))?;
            now(output.finish())?;
            Ok(std::fs::read_to_string(&path)?)
        };
        assert_eq!(text(Format::Csv, false).unwrap(), "t\n=1+1\n\u{9b}31m\u{202e}\n", "a file has what the lake has");
        assert_eq!(text(Format::Csv, true).unwrap(), "t\n'=1+1\n\u{9b}31m\u{202e}\n");
        assert_eq!(text(Format::Json, false).unwrap(), "{\"t\":\"=1+1\"}\n{\"t\":\"\\u009b31m\\u202e\"}\n");
        let refused: anyhow::Error = text(Format::Json, true).unwrap_err();
        assert_eq!(refused.to_string(), "`--csv-safe` is for CSV");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_replaced_stays_closed_and_a_link_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("x.csv"), dir.path().join("victim"));
        let write = |rights| {
            let options = ResultOptions { rights, ..ResultOptions::default() };
            now(ResultWriter::begin(OutputTarget::File(path.clone()), options, &batch().schema())?.finish())?;
            anyhow::Ok(std::fs::metadata(&path)?.permissions().mode() & 0o777)
        };
        assert_eq!(write(FileRights::Private).unwrap(), 0o600);
        assert_eq!(write(FileRights::Shared).unwrap(), 0o600, "it was closed before");
        std::fs::write(&victim, "mine").unwrap();
        symlink(&victim, dir.path().join("x.csv.partial")).unwrap();
        let error = write(FileRights::Private).unwrap_err().to_string();
        assert!(error.ends_with("x.csv.partial`: it is a symbolic link, which is not followed"), "{error}");
        assert_eq!(std::fs::read(victim).unwrap(), b"mine");
    }

    #[test]
    fn no_rows_are_a_result_too() {
        assert_eq!(written("x.csv", &[]), b"name,count,at\n");
        assert_eq!(written("x.json", &[]), b"");
        assert!(String::from_utf8(written("x.txt", &[])).unwrap().starts_with("name  count  at"));
        assert!(written("x.parquet", &[]).ends_with(b"PAR1"));
    }
}
