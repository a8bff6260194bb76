//! A Parquet file that is being written: encoded away from the runtime's threads, uploaded part by part, and not to be
//! seen by anyone before it is completed.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;

use crate::clock::now_millis;
use crate::data_file::DataFile;
use crate::error::Error;
use crate::keys::OwnedKey;
use crate::memory::Charge;
use crate::{paths, properties, stats};

/// A file is closed when it has as many bytes.
const FILE_BYTES: usize = 512 << 20;

/// Parts of an upload have at least as many bytes, but for the last.
const PART_BYTES: usize = 8 << 20;

/// A Parquet file that is being written.
pub(crate) struct OpenFile {
    table: &'static Table,
    week: Option<Week>,
    path: Path,
    schema: SchemaRef,
    /// Writes to memory; what is there is moved to the upload after every step.
    writer: ArrowWriter<Vec<u8>>,
    upload: Box<dyn MultipartUpload>,
    /// Encoded, too short for a part.
    pending: Vec<u8>,
    charge: Charge,
    /// What the last row is sorted by.
    pub(crate) last: Option<OwnedKey>,
}

/// A file that is written but not yet to be seen. Dropping it takes the upload back.
pub(crate) struct Staged {
    pub(crate) file: DataFile,
    /// In a mutex that is never locked: an upload alone cannot be shared between threads.
    upload: Option<Mutex<Box<dyn MultipartUpload>>>,
}

impl OpenFile {
    /// Begins a file. `rows`: how many rows a row group may get.
    pub(crate) async fn create(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        week: Option<Week>,
        schema: SchemaRef,
        rows: usize,
        charge: Charge,
    ) -> Result<Self, Error> {
        let path = paths::data_file(table, week);
        let properties = properties::properties(table, &schema, rows);
        // Without the embedded Arrow schema: readers see plain types.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options);
        let writer = writer.map_err(Error::parquet(&path))?;
        let upload = store.put_multipart(&path).await.map_err(Error::store(format!("write {path}")))?;
        Ok(Self { table, week, path, schema, writer, upload, pending: Vec::new(), charge, last: None })
    }

    /// Whether it is long enough.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.bytes_written() >= FILE_BYTES
    }

    /// Bytes of the row group that is open: what closing it would give back.
    pub(crate) fn open(&self) -> usize {
        self.writer.memory_size()
    }

    /// Encodes rows that come after all before. They are sorted already.
    pub(crate) async fn write(
        self,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    ) -> Result<Self, Error> {
        let encode = move |writer: &mut ArrowWriter<Vec<u8>>| {
            for batch in batches {
                writer.write(&batch?)?;
            }
            Ok(())
        };
        self.step(encode).await
    }

    /// Closes the open row group, so that its memory is given back.
    pub(crate) async fn close_row_group(self) -> Result<Self, Error> {
        self.step(ArrowWriter::flush).await
    }

    async fn step(
        mut self,
        encode: impl FnOnce(&mut ArrowWriter<Vec<u8>>) -> Result<(), ParquetError> + Send + 'static,
    ) -> Result<Self, Error> {
        let (table, path) = (self.table, self.path.clone());
        let encoded = tokio::task::spawn_blocking(move || {
            encode(&mut self.writer).map_err(Error::parquet(&self.path))?;
            let written = std::mem::take(self.writer.inner_mut());
            if self.pending.is_empty() {
                self.pending = written;
            } else {
                self.pending.extend_from_slice(&written);
            }
            Ok(self)
        });
        let mut this: Self = joined(table, &path, encoded.await)?;
        if this.pending.len() >= PART_BYTES {
            this.put_part().await?;
        }
        this.charge.set(this.writer.memory_size() + this.pending.capacity());
        Ok(this)
    }

    async fn put_part(&mut self) -> Result<(), Error> {
        let part = PutPayload::from(std::mem::take(&mut self.pending));
        self.upload.put_part(part).await.map_err(Error::store(format!("write {}", self.path)))
    }

    /// Writes the footer. Nobody sees the file before [`Staged::complete`].
    pub(crate) async fn finish(mut self) -> Result<Staged, Error> {
        let (table, path) = (self.table, self.path.clone());
        let finished = tokio::task::spawn_blocking(move || {
            let metadata = self.writer.finish().map_err(Error::parquet(&self.path))?;
            let written = std::mem::take(self.writer.inner_mut());
            self.pending.extend_from_slice(&written);
            let size = self.writer.bytes_written() as u64;
            let stats = stats::stats(&self.schema, &metadata);
            Ok((self, size, stats))
        });
        let (mut this, size, stats): (Self, u64, String) = joined(table, &path, finished.await)?;
        if !this.pending.is_empty() {
            this.put_part().await?;
        }
        let file = DataFile::new(table, path, this.week, size, now_millis(), Some(stats));
        Ok(Staged { file, upload: Some(Mutex::new(this.upload)) })
    }
}

impl Staged {
    /// Gives the file its name. It is to be seen from now on.
    pub(crate) async fn complete(&mut self) -> Result<(), Error> {
        if let Some(upload) = self.upload.take() {
            let mut upload = upload.into_inner().unwrap_or_else(PoisonError::into_inner);
            upload.complete().await.map_err(Error::store(format!("finish {}", self.file.path)))?;
        }
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.upload.is_none()
    }
}

/// What blocking work came to; its panic is this task's panic.
fn joined<T>(
    table: &'static Table,
    path: &Path,
    ended: Result<Result<T, Error>, tokio::task::JoinError>,
) -> Result<T, Error> {
    match ended {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Interrupted { table: table.name, reason: format!("{path} was not encoded") }),
        },
    }
}
