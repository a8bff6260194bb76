//! Fetched files to rows of `payload`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, StringBuilder, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, PAYLOAD, Week};
use rayon::prelude::*;

use crate::charset::{Charset, Recogniser, Status};
use crate::page::Decoded;
use crate::week::split;
use crate::{Error, assemble};

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
    /// The charset that is documented for the row's scenario.
    pub documented: Charset,
}

/// What fetching a File gave.
#[derive(Debug, Clone)]
pub enum Fetched<B> {
    /// Its bytes, and its name by the service.
    Bytes(B, Option<String>),
    /// The service has no such File.
    Missing,
    /// It is larger than the service allows such a File to be.
    TooLarge(u64),
    /// It was tried and not got, for this reason.
    Failed(String),
}

/// A File on its way into `payload`.
#[derive(Debug, Clone)]
pub struct RawPayload<B> {
    /// The row that names it.
    pub row: SourceRow,
    /// What fetching it gave.
    pub fetched: Fetched<B>,
}

/// So many payloads make one batch: enough for the cores, little enough for memory.
const TASK: usize = 64;

/// Decodes payloads in parallel; the batches do not depend on the number of threads.
///
/// # Errors
/// None in practice: the columns are built for the schema.
pub fn decode_payloads<B: AsRef<[u8]> + Sync>(
    payloads: &[RawPayload<B>],
    extracted_at: Instant,
) -> Result<Decoded, Error> {
    let tasks: Vec<_> =
        payloads.par_chunks(TASK).map(|task| decode_task(task, extracted_at)).collect::<Result<_, _>>()?;
    let batches = tasks.into_iter().flatten().collect();
    Ok(Decoded { batches, rejects: Vec::new(), rows: payloads.len() as u64 })
}

type Batches = Vec<(Week, arrow::array::RecordBatch)>;

fn decode_task<B: AsRef<[u8]>>(payloads: &[RawPayload<B>], extracted_at: Instant) -> Result<Batches, Error> {
    let mut recogniser = Recogniser::default();
    let mut texts: [StringBuilder; 11] = std::array::from_fn(|_| StringBuilder::new());
    let [table, id, partition, column, file_id, name, status, encoding, reason, text, raw] = &mut texts;
    let mut length = Int64Builder::new();
    for RawPayload { row, fetched } in payloads {
        table.append_value(row.table);
        id.append_value(&row.id);
        partition.append_value(&row.partition_id);
        column.append_value(row.column);
        file_id.append_value(&row.file_id);
        let mut named = row.file_name.as_deref();
        match fetched {
            Fetched::Bytes(bytes, service_name) => {
                named = service_name.as_deref().or(named);
                let bytes = bytes.as_ref();
                length.append_value(bytes.len() as i64);
                let outcome = recogniser.recognise(bytes, row.documented);
                status.append_value(match outcome.status {
                    Status::Decoded => "decoded",
                    Status::Empty => "empty",
                    Status::Undecodable => "undecodable",
                });
                encoding.append_option((!outcome.encoding.is_empty()).then_some(outcome.encoding));
                reason.append_option(outcome.reason);
                text.append_option(outcome.text);
                if outcome.status == Status::Undecodable {
                    raw.append_value(base64_simd::STANDARD.encode_to_string(bytes));
                } else {
                    raw.append_null();
                }
            }
            Fetched::Missing | Fetched::TooLarge(_) | Fetched::Failed(_) => {
                for empty in [&mut *encoding, &mut *text, &mut *raw] {
                    empty.append_null();
                }
                match fetched {
                    Fetched::TooLarge(bytes) => {
                        length.append_value(i64::try_from(*bytes).unwrap_or(i64::MAX));
                        status.append_value("too_large");
                        reason.append_value("above 32 MiB");
                    }
                    Fetched::Failed(why) => {
                        length.append_null();
                        status.append_value("failed");
                        reason.append_value(why);
                    }
                    Fetched::Missing | Fetched::Bytes(..) => {
                        length.append_null();
                        status.append_value("missing");
                        reason.append_value("the service answers that there is no such file");
                    }
                }
            }
        }
        name.append_option(named);
    }
    let utc = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let names = [
        "source_table",
        "source_id",
        "source_partitionid",
        "column_name",
        "file_id",
        "file_name",
        "status",
        "encoding",
        "reason",
        "text",
        "raw_base64",
    ];
    let mut named: Vec<(&str, ArrayRef)> = names
        .into_iter()
        .zip(&mut texts)
        .map(|(name, builder)| (name, Arc::new(builder.finish()) as ArrayRef))
        .collect();
    named.push(("byte_length", Arc::new(length.finish())));
    named.push(("row_time", utc(payloads.iter().map(|payload| payload.row.row_time.0).collect())));
    named.push(("extracted_at", utc(vec![extracted_at.0; payloads.len()])));
    debug_assert!(named.iter().all(|(_, array)| array.len() == payloads.len()), "one value per payload");
    split(&PAYLOAD, assemble(&PAYLOAD, named)?)
}
