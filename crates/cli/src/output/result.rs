//! Query results on stdout or in a file: aligned columns, CSV, JSON lines or Parquet, batch by batch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::LineDelimited;
use copilot_lake_writer::FileRights;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::args::Format;
use crate::config::text_file::reason;
use crate::environment;
use crate::output::aligned::Aligned;
use crate::output::csv_texts::CsvTexts;
use crate::output::json_escapes::JsonEscapes;
use crate::problem::usage;

/// Rows that are shown on a terminal; a file gets all of them.
const TERMINAL_ROWS: usize = 500;

/// Where a result goes.
pub(crate) enum ResultTarget {
    /// The standard output.
    Stdout,
    /// A file, which gets its name once the result is complete.
    File(PathBuf),
}

impl ResultTarget {
    /// What failed when a result cannot be written there.
    pub(crate) fn unwritten(&self) -> String {
        match self {
            Self::File(path) => format!("cannot write `{}`", path.display()),
            Self::Stdout => "cannot write the result".to_owned(),
        }
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResultOptions {
    /// Without one, the file's extension decides; the default is a table.
    pub(crate) format: Option<Format>,
    /// Whether cells of CSV that a spreadsheet would take for formulas are made texts.
    pub(crate) csv_safe: bool,
    /// Who may read the file.
    pub(crate) rights: FileRights,
}

/// A result that is being written.
pub(crate) struct ResultWriter {
    writer: FormatWriter,
    /// The temporary name of the file, and the final one.
    rename: Option<(PathBuf, PathBuf)>,
}

enum FormatWriter {
    Aligned(Aligned<ResultSink>),
    Csv(Box<arrow::csv::Writer<ResultSink>>, CsvTexts),
    Json(arrow::json::Writer<JsonEscapes<ResultSink>, LineDelimited>),
    Parquet(Box<ArrowWriter<ResultSink>>),
}

type ResultSink = BufWriter<Box<dyn Write + Send>>;

impl ResultWriter {
    /// Begins a result with these columns.
    pub(crate) fn begin(target: ResultTarget, options: ResultOptions, schema: &SchemaRef) -> Result<Self> {
        let terminal = matches!(target, ResultTarget::Stdout) && environment::stdout_is_terminal();
        let format = options.format.unwrap_or_else(|| match &target {
            ResultTarget::Stdout => Format::Table,
            ResultTarget::File(path) => of_extension(path),
        });
        if terminal && format == Format::Parquet {
            return Err(usage("Parquet is not for a terminal").hint("name a file with `--output FILE`").into());
        }
        if options.csv_safe && format != Format::Csv {
            return Err(usage("`--csv-safe` is for CSV")
                .hint("as in `--format csv --csv-safe`; or leave it out")
                .into());
        }
        let unwritten = target.unwritten();
        let (sink, rename): (Box<dyn Write + Send>, _) = match target {
            ResultTarget::Stdout => (Box::new(std::io::stdout()), None),
            ResultTarget::File(path) => {
                let (file, rename) = create(&path, options.rights).map_err(|error| {
                    let partial = partial_name(&path);
                    let refused = if partial.is_symlink() { &partial } else { &path };
                    usage(format!("cannot write `{}`: {}", refused.display(), reason(&error)))
                        .hint("name a file in a directory that exists and can be written")
                })?;
                (Box::new(file), rename)
            }
        };
        let sink = BufWriter::with_capacity(1 << 16, sink);
        let writer = match format {
            Format::Table => {
                let limit = terminal.then(|| (environment::terminal_columns(), TERMINAL_ROWS));
                FormatWriter::Aligned(Aligned::new(sink, schema, limit))
            }
            Format::Csv => {
                let texts = CsvTexts { clean: terminal, defuse: options.csv_safe };
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(sink);
                // The header is written even if there are no rows.
                writer.write(&RecordBatch::new_empty(texts.schema(schema))).context(unwritten)?;
                FormatWriter::Csv(Box::new(writer), texts)
            }
            Format::Json => {
                let json = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                FormatWriter::Json(json.build(JsonEscapes::new(sink)))
            }
            Format::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                FormatWriter::Parquet(Box::new(ArrowWriter::try_new(sink, schema.clone(), Some(properties))?))
            }
        };
        Ok(Self { writer, rename })
    }

    /// Writes rows. Returns `false` if no more are wanted.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<bool> {
        match &mut self.writer {
            FormatWriter::Aligned(writer) => return writer.push(batch),
            FormatWriter::Csv(writer, texts) => writer.write(&texts.rows(batch)?)?,
            FormatWriter::Json(writer) => writer.write(batch)?,
            FormatWriter::Parquet(writer) => writer.write(batch)?,
        }
        Ok(true)
    }

    /// Completes the result; a file gets its final name.
    pub(crate) fn finish(self) -> Result<()> {
        let mut sink = match self.writer {
            FormatWriter::Aligned(writer) => writer.finish()?,
            FormatWriter::Csv(writer, _) => writer.into_inner(),
            FormatWriter::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner().into_inner()
            }
            FormatWriter::Parquet(writer) => writer.into_inner()?,
        };
        sink.flush()?;
        drop(sink);
        if let Some((from, to)) = self.rename {
            std::fs::rename(&from, &to).with_context(|| format!("cannot name `{}`", to.display()))?;
        }
        Ok(())
    }
}

/// The format that a file's extension names; a table when it names none.
fn of_extension(path: &Path) -> Format {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Format::Csv,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        Some("parquet") => Format::Parquet,
        _ => Format::Table,
    }
}

/// Opens the file under a temporary name, so that a partial result is never taken for a complete one.
fn create(path: &Path, rights: FileRights) -> std::io::Result<(File, Option<(PathBuf, PathBuf)>)> {
    // A pipe or a device cannot be renamed over.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok((File::options().write(true).open(path)?, None));
    }
    let partial = partial_name(path);
    Ok((rights.create_for(&partial, path)?, Some((partial, path.to_owned()))))
}

/// The name of a file until it is complete.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch() -> RecordBatch {
        let when = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC");
        RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("a,\"b\""), None])) as ArrayRef),
            ("count", Arc::new(Int64Array::from(vec![1, 20]))),
            ("at", Arc::new(when)),
        ])
        .unwrap()
    }

    fn written(name: &str, batches: &[RecordBatch]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let mut output =
            ResultWriter::begin(ResultTarget::File(path.clone()), ResultOptions::default(), &batch().schema()).unwrap();
        for batch in batches {
            assert!(output.push(batch).unwrap());
        }
        assert!(!path.exists());
        output.finish().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::read(path).unwrap()
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
            let mut output = ResultWriter::begin(ResultTarget::File(path.clone()), options, &batch.schema())?;
            output.push(&batch)?;
            output.finish()?;
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
            ResultWriter::begin(ResultTarget::File(path.clone()), options, &batch().schema())?.finish()?;
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
