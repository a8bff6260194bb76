//! Fetched files to rows of `payload`, and transcripts among them to their messages.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, PAYLOAD, Table, Week};
use rayon::prelude::*;

use crate::charset::{Charset, Outcome, Recogniser, Status};
use crate::columns::stored_id;
use crate::transcript::{Finished, TranscriptRows};
use crate::week::by_week;
use crate::{Error, Reject, assemble};

/// The row that names a File.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its table.
    pub table: &'static str,
    /// Its own id.
    pub id: String,
    /// Its partition; empty outside the elastic table.
    pub partition_id: String,
    /// The File column.
    pub column: &'static str,
    /// The File.
    pub file_id: String,
    /// The File's name, by the row.
    pub file_name: Option<String>,
    /// The row's `row_time`: a payload lies in its row's week.
    pub row_time: Instant,
    /// The charset that is documented for it: [`Charset::of`].
    pub documented: Charset,
}

/// What fetching a File gave.
#[derive(Debug, Clone)]
pub enum Fetched<B> {
    /// Its bytes, and its name by the service.
    Bytes(B, Option<String>),
    /// The same, and the size that the service declares, which is not theirs.
    OtherSize(B, Option<String>, u64),
    /// The service has no such File.
    Missing,
    /// It is larger than the service allows such a File to be.
    TooLarge(u64),
    /// It was tried and not got, for this reason.
    Failed(String),
}

impl<B> Fetched<B> {
    /// The bytes that were got, if any were.
    pub fn bytes(&self) -> Option<&B> {
        match self {
            Self::Bytes(bytes, _) | Self::OtherSize(bytes, ..) => Some(bytes),
            Self::Missing | Self::TooLarge(_) | Self::Failed(_) => None,
        }
    }
}

/// A File on its way into `payload`.
#[derive(Debug, Clone)]
pub struct RawPayload<B> {
    /// The row that names it.
    pub row: SourceRow,
    /// What fetching it gave.
    pub fetched: Fetched<B>,
}

/// What became of payloads.
#[derive(Debug, Default)]
pub struct DecodedPayloads {
    /// Rows of `payload`, one for each in their order, split by week.
    pub payloads: Vec<(Week, RecordBatch)>,
    /// Rows of `transcript_message`.
    pub messages: Vec<(Week, RecordBatch)>,
    /// Rows of `transcript_source`.
    pub sources: Vec<(Week, RecordBatch)>,
    /// The ids, as they are stored, of all transcripts among the payloads, whatever became of them: what was read from
    /// them before is to be replaced.
    pub transcripts: Vec<String>,
    /// Values inside transcripts that did not fit, and the table of each. A message or source that is no object has no row:
    /// its reject names no column and is keyed by its place.
    pub rejects: Vec<(&'static Table, Reject)>,
}

/// So many payloads or bytes make one task: enough for the cores, little enough for memory.
const TASK: usize = 64;
const TASK_BYTES: usize = 32 << 20;

/// Decodes payloads in parallel; the batches do not depend on the number of threads.
///
/// A transcript whose text is none keeps its row of `payload` as `decoded`, with the reason.
///
/// # Errors
/// None in practice: the columns are built for the schema.
pub fn decode_payloads<B: AsRef<[u8]> + Sync>(
    payloads: &[RawPayload<B>],
    extracted_at: Instant,
) -> Result<DecodedPayloads, Error> {
    let tasks: Vec<_> =
        tasks(payloads).into_par_iter().map(|task| decode_task(task, extracted_at)).collect::<Result<_, _>>()?;
    let mut decoded = DecodedPayloads::default();
    for task in tasks {
        decoded.payloads.extend(task.payloads);
        decoded.messages.extend(task.messages);
        decoded.sources.extend(task.sources);
        decoded.transcripts.extend(task.transcripts);
        decoded.rejects.extend(task.rejects);
    }
    Ok(decoded)
}

fn tasks<B: AsRef<[u8]>>(payloads: &[RawPayload<B>]) -> Vec<&[RawPayload<B>]> {
    let mut tasks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, payload) in payloads.iter().enumerate() {
        bytes += payload.fetched.bytes().map_or(0, |fetched| fetched.as_ref().len());
        let end = at + 1;
        if end - start == TASK || bytes >= TASK_BYTES || end == payloads.len() {
            tasks.push(&payloads[start..end]);
            (start, bytes) = (end, 0);
        }
    }
    tasks
}

fn decode_task<B: AsRef<[u8]>>(payloads: &[RawPayload<B>], extracted_at: Instant) -> Result<DecodedPayloads, Error> {
    let mut recogniser = Recogniser::default();
    let mut rows = PayloadRows::default();
    let mut transcript_rows = TranscriptRows::default();
    let mut transcripts = Vec::new();
    for RawPayload { row, fetched } in payloads {
        let column = copilot_lake_tables::table(row.table).and_then(|table| table.column(row.column));
        let transcript = column.is_some_and(|column| column.transcript).then(|| stored_id(&row.id));
        match fetched {
            Fetched::Bytes(bytes, name) | Fetched::OtherSize(bytes, name, _) => {
                let bytes = bytes.as_ref();
                let outcome = recogniser.recognise(bytes, row.documented);
                let read = match (&transcript, outcome.text) {
                    (Some(id), Some(text)) => transcript_rows.append(id, row.row_time, text),
                    _ => Ok(()),
                };
                let not_a_transcript = read.err().map(|reason| format!("not a transcript: {reason}"));
                let other_size = match fetched {
                    Fetched::OtherSize(_, _, size) => {
                        Some(format!("the service declares {size} bytes and sends {}", bytes.len()))
                    }
                    _ => None,
                };
                let undecodable = outcome.reason.map(str::to_owned);
                let reasons: Vec<_> = other_size.into_iter().chain(undecodable.or(not_a_transcript)).collect();
                let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
                rows.append_bytes(row, name.as_deref(), bytes, &outcome, reason.as_deref());
            }
            Fetched::Missing => {
                rows.append_nothing(row, "missing", None, "the service answers that there is no such file");
            }
            Fetched::TooLarge(size) => {
                let size = i64::try_from(*size).unwrap_or(i64::MAX);
                rows.append_nothing(row, "too_large", Some(size), "above 32 MiB");
            }
            Fetched::Failed(why) => rows.append_nothing(row, "failed", None, why),
        }
        transcripts.extend(transcript.map(Cow::into_owned));
    }
    let Finished { messages, sources, rejects } = transcript_rows.finish(extracted_at)?;
    Ok(DecodedPayloads { payloads: rows.finish(extracted_at)?, messages, sources, transcripts, rejects })
}

#[derive(Default)]
struct PayloadRows {
    source_table: StringBuilder,
    source_id: StringBuilder,
    source_partitionid: StringBuilder,
    column_name: StringBuilder,
    row_time: Vec<i64>,
    file_id: StringBuilder,
    file_name: StringBuilder,
    byte_length: Int64Builder,
    status: StringBuilder,
    encoding: StringBuilder,
    reason: StringBuilder,
    text: StringBuilder,
    raw_base64: StringBuilder,
}

impl PayloadRows {
    fn append_row(&mut self, row: &SourceRow, name: Option<&str>) {
        self.source_table.append_value(row.table);
        self.source_id.append_value(&row.id);
        self.source_partitionid.append_value(&row.partition_id);
        self.column_name.append_value(row.column);
        self.row_time.push(row.row_time.0);
        self.file_id.append_value(&row.file_id);
        self.file_name.append_option(name.or(row.file_name.as_deref()));
    }

    fn append_bytes(
        &mut self,
        row: &SourceRow,
        name: Option<&str>,
        bytes: &[u8],
        outcome: &Outcome<'_>,
        reason: Option<&str>,
    ) {
        self.append_row(row, name);
        self.byte_length.append_value(bytes.len() as i64);
        self.status.append_value(match outcome.status {
            Status::Decoded => "decoded",
            Status::Empty => "empty",
            Status::Undecodable => "undecodable",
        });
        self.encoding.append_option((!outcome.encoding.is_empty()).then_some(outcome.encoding));
        self.reason.append_option(reason);
        self.text.append_option(outcome.text);
        if outcome.status == Status::Undecodable {
            self.raw_base64.append_value(base64_simd::STANDARD.encode_to_string(bytes));
        } else {
            self.raw_base64.append_null();
        }
    }

    fn append_nothing(&mut self, row: &SourceRow, status: &str, length: Option<i64>, reason: &str) {
        self.append_row(row, None);
        self.byte_length.append_option(length);
        self.status.append_value(status);
        self.encoding.append_null();
        self.reason.append_value(reason);
        self.text.append_null();
        self.raw_base64.append_null();
    }

    fn finish(mut self, extracted_at: Instant) -> Result<Vec<(Week, RecordBatch)>, Error> {
        let utc = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
        let rows = self.row_time.len();
        let texts = [
            ("source_table", &mut self.source_table),
            ("source_id", &mut self.source_id),
            ("source_partitionid", &mut self.source_partitionid),
            ("column_name", &mut self.column_name),
            ("file_id", &mut self.file_id),
            ("file_name", &mut self.file_name),
            ("status", &mut self.status),
            ("encoding", &mut self.encoding),
            ("reason", &mut self.reason),
            ("text", &mut self.text),
            ("raw_base64", &mut self.raw_base64),
        ];
        let mut named: Vec<_> =
            texts.into_iter().map(|(name, builder)| (name, Arc::new(builder.finish()) as ArrayRef)).collect();
        named.push(("byte_length", Arc::new(self.byte_length.finish())));
        named.push(("row_time", utc(self.row_time)));
        named.push(("extracted_at", utc(vec![extracted_at.0; rows])));
        debug_assert!(named.iter().all(|(_, array)| array.len() == rows), "one value per payload");
        by_week(&PAYLOAD, assemble(&PAYLOAD, named)?)
    }
}
