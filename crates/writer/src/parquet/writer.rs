//! Writing a data file: encoded away from the runtime's threads, uploaded part by part, and invisible until it is
//! published.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::errors::ParquetError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use object_store::path::Path;
use tokio::sync::Semaphore;

use crate::blocking::run_blocking;
use crate::clock::now_millis;
use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::keys::OwnedKey;
use crate::lake_storage::LakeStorage;
use crate::memory::MemoryReservation;
use crate::parquet::properties;
use crate::parquet::spill::Spill;
use crate::parquet::statistics;
use crate::parquet::upload::{PartWriter, Upload};
use crate::storage::paths;

/// Files of at most so many bytes wait in memory until they are published.
const SINGLE_BYTES: usize = 256 << 10;
/// Size at which a file is closed.
const FILE_BYTES: usize = 512 << 20;

/// Memory of a column of an open row group beyond what the encoder counts: above all the compressor's tables, once it
/// has compressed a page. Measured over the 50 columns of msdyn_copilotevent: 37 MiB for 4 files.
const COLUMN_BYTES: usize = 192 << 10;

/// A Parquet file that is being written.
pub(crate) struct DataFileWriter {
    table: &'static Table,
    week: Option<Week>,
    path: Path,
    schema: SchemaRef,
    /// Names of the columns that the log keeps statistics of.
    indexed: Vec<String>,
    writer: ArrowWriter<PartWriter>,
    upload: Upload,
    reservation: MemoryReservation,
    /// Rows that were handed to the encoder.
    rows: u64,
    /// The sort key of the last row.
    pub(crate) last: Option<OwnedKey>,
    /// Permits to encode: as many as there are cores.
    encoders: Arc<Semaphore>,
}

/// The order of a file's rows, as far as it is known and declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// By time and key, as the table's definition has it.
    Sorted,
    Unknown,
}

/// What a new file holds, and how.
pub(crate) struct NewFile {
    pub(crate) table: &'static Table,
    pub(crate) week: Option<Week>,
    pub(crate) schema: SchemaRef,
    /// Names of the columns that the log keeps statistics of.
    pub(crate) indexed: Vec<String>,
    /// Maximum rows of a row group.
    pub(crate) row_group_rows: usize,
    pub(crate) order: RowOrder,
    /// What its rows are known by, when they are those of other files; `None`: they are new.
    pub(crate) rows_id: Option<u64>,
}

impl NewFile {
    /// A file of rows that come in the table's order, with its columns.
    pub(crate) fn sorted(
        table: &'static Table,
        week: Option<Week>,
        indexed: Vec<String>,
        row_group_rows: usize,
    ) -> Self {
        let schema = Arc::clone(table.layout().schema());
        Self { table, week, schema, indexed, row_group_rows, order: RowOrder::Sorted, rows_id: None }
    }
}

/// A file that is written but not published. Dropping it discards the upload.
pub(crate) struct StagedDataFile {
    pub(crate) file: DataFile,
    upload: Option<Box<Upload>>,
}

impl DataFileWriter {
    /// Begins a file.
    pub(crate) async fn create(
        lake: &LakeStorage,
        file: NewFile,
        reservation: MemoryReservation,
    ) -> Result<Self, Error> {
        let NewFile { table, week, schema, indexed, row_group_rows, order, rows_id } = file;
        let path = paths::data_file(table, week, rows_id.unwrap_or_else(paths::new_rows_id));
        let properties = properties::properties(table, &schema, row_group_rows, order == RowOrder::Sorted);
        // Without the embedded Arrow schema: readers see plain types.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let options = options.with_page_store_factory(Arc::new(Spill::new(lake.root.clone())));
        let (parts, mut upload) = Upload::new(lake.upload_to(path.clone(), SINGLE_BYTES), lake.part_bytes());
        if lake.root.is_some() {
            // On a disk it costs nothing, and no file waits in memory.
            upload.begin().await.map_err(Error::store(format!("write {path}")))?;
        }
        let writer = ArrowWriter::try_new_with_options(parts, Arc::clone(&schema), options);
        let writer = writer.map_err(Error::parquet(&path))?;
        let encoders = Arc::clone(&lake.encoders);
        let (rows, last) = (0, None);
        Ok(Self { table, week, path, schema, indexed, writer, upload, reservation, rows, last, encoders })
    }

    /// Whether the file is large enough to be closed.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.bytes_written() >= FILE_BYTES
    }

    /// Bytes of the open row group, which closing it would release.
    pub(crate) fn open_bytes(&self) -> usize {
        open_bytes(&self.writer, &self.schema)
    }

    /// Encodes rows that are sorted, and sort after all before.
    pub(crate) async fn write(
        self,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    ) -> Result<Self, Error> {
        let encode = move |writer: &mut ArrowWriter<PartWriter>| {
            let mut rows = 0;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                writer.write(&batch)?;
            }
            Ok(rows)
        };
        let (mut this, rows) = self.step(encode).await?;
        this.rows += rows;
        Ok(this)
    }

    /// Closes the open row group and releases its memory.
    pub(crate) async fn close_row_group(self) -> Result<Self, Error> {
        Ok(self.step(ArrowWriter::flush).await?.0)
    }

    /// Runs the encoder on another thread, and uploads its output.
    async fn step<T: Send + 'static>(
        self,
        encode: impl FnOnce(&mut ArrowWriter<PartWriter>) -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<(Self, T), Error> {
        let Self { table, week, path, schema, indexed, mut writer, mut upload, mut reservation, rows, last, encoders } =
            self;
        let Ok(encoder) = Arc::clone(&encoders).acquire_owned().await else {
            return Err(Error::Interrupted { table: table.name, reason: "its encoders were shut down".to_owned() });
        };
        let encoded = run_blocking(move || {
            let made = encode(&mut writer).map(|made| (writer, made));
            drop(encoder);
            made
        });
        let encoded = upload.send_while(encoded).await.map_err(Error::store(format!("write {path}")))?;
        let interrupted = |_| Error::Interrupted { table: table.name, reason: format!("{path} was not encoded") };
        let (writer, made) = encoded.map_err(interrupted)?.map_err(Error::parquet(&path))?;
        reservation.resize(open_bytes(&writer, &schema) + writer.inner().memory());
        let this = Self { table, week, path, schema, indexed, writer, upload, reservation, rows, last, encoders };
        Ok((this, made))
    }

    /// Writes the footer. The file is invisible until [`StagedDataFile::complete`].
    pub(crate) async fn finish(self) -> Result<StagedDataFile, Error> {
        let (mut this, metadata) = self.step(ArrowWriter::finish).await?;
        let rest = this.writer.inner_mut().take_rest();
        this.upload.put_last(rest).await.map_err(Error::store(format!("write {}", this.path)))?;
        let size = this.writer.bytes_written() as u64;
        let stats = statistics::to_json(&this.indexed, &this.schema, &metadata);
        let file = DataFile::new(this.table, this.path, this.week, size, now_millis(), Some(stats));
        // What was pushed is what the footer has, and what the log will say.
        let of_footer = u64::try_from(metadata.file_metadata().num_rows()).ok();
        if of_footer != Some(this.rows) || file.rows != of_footer {
            let counts = format!("{} were written, it has {of_footer:?}, its statistics {:?}", this.rows, file.rows);
            return Err(Error::Interrupted {
                table: this.table.name,
                reason: format!("rows of {}: {counts}", file.path),
            });
        }
        Ok(StagedDataFile { file, upload: Some(Box::new(this.upload)) })
    }
}

impl StagedDataFile {
    /// A file that is under its name already.
    pub(crate) fn published(file: DataFile) -> Self {
        Self { file, upload: None }
    }

    /// Publishes the file under its name.
    pub(crate) async fn complete(&mut self) -> Result<(), Error> {
        if let Some(upload) = self.upload.take() {
            upload.complete(self.file.size).await.map_err(Error::store(format!("finish {}", self.file.path)))?;
        }
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.upload.is_none()
    }
}

fn open_bytes(writer: &ArrowWriter<PartWriter>, schema: &SchemaRef) -> usize {
    let compressed = writer.in_progress_rows() >= properties::PAGE_ROWS;
    writer.memory_size() + if compressed { schema.fields().len() * COLUMN_BYTES } else { 0 }
}
