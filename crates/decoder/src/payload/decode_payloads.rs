//! Fetched files to rows of `payload`, and the transcripts among them to their messages.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use copilot_lake_tables::{Instant, Table, Week};
use rayon::prelude::*;

use super::charset::TextDecoder;
use super::exchange::Exchange;
use super::payload_rows::PayloadRows;
use super::raw_payload::{Fetched, RawPayload};
use crate::stored_id::stored_id;
use crate::transcript::rows::{TranscriptBatches, TranscriptRows};
use crate::{Error, Reject};

/// The decoded rows of some payloads.
#[derive(Debug, Default)]
pub struct DecodedPayloads {
    /// Rows of `payload`, one per File in order, split by week.
    pub payloads: Vec<(Week, RecordBatch)>,
    /// Rows of `transcript_message`.
    pub messages: Vec<(Week, RecordBatch)>,
    /// Rows of `transcript_source`.
    pub sources: Vec<(Week, RecordBatch)>,
    /// The stored ids of all transcripts among the payloads, decodable or not: rows read from them earlier are to be
    /// replaced.
    pub transcripts: Vec<String>,
    /// Values inside transcripts that did not fit, with their tables. A message or source that is not an object has no
    /// row: its reject names no column and is keyed by its position.
    pub rejects: Vec<(&'static Table, Reject)>,
}

/// Payloads or bytes per task: enough tasks for all cores, little enough memory.
const TASK_PAYLOADS: usize = 64;
const TASK_BYTES: usize = 32 << 20;

/// Decodes payloads in parallel; the batches do not depend on the number of threads.
///
/// A File whose text is not a valid transcript keeps its `payload` row as `decoded`, with the reason.
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
        if end - start == TASK_PAYLOADS || bytes >= TASK_BYTES || end == payloads.len() {
            tasks.push(&payloads[start..end]);
            (start, bytes) = (end, 0);
        }
    }
    tasks
}

fn decode_task<B: AsRef<[u8]>>(payloads: &[RawPayload<B>], extracted_at: Instant) -> Result<DecodedPayloads, Error> {
    let mut decoder = TextDecoder::default();
    let files = payloads.iter().filter_map(|payload| payload.fetched.bytes());
    let bytes: usize = files.map(|file| file.as_ref().len()).sum();
    let mut rows = PayloadRows::with_capacity(payloads.len(), bytes);
    let mut transcript_rows = TranscriptRows::with_capacity(bytes);
    let mut transcripts = Vec::new();
    for RawPayload { row, fetched } in payloads {
        let column = copilot_lake_tables::table(row.table).and_then(|table| table.column(row.column));
        let transcript = column.is_some_and(|column| column.transcript).then(|| stored_id(&row.id));
        match fetched {
            Fetched::Bytes(bytes, name) | Fetched::SizeMismatch(bytes, name, _) => {
                let bytes = bytes.as_ref();
                let outcome = decoder.decode(bytes, row.documented);
                let read = match (&transcript, outcome.text) {
                    (Some(id), Some(text)) => transcript_rows.append(id, row.row_time, text),
                    _ => Ok(()),
                };
                // A transcript has its own tables.
                let exchange = outcome.text.filter(|_| transcript.is_none()).and_then(Exchange::read);
                let not_a_transcript = read.err().map(|reason| format!("not a transcript: {reason}"));
                let size_mismatch = match fetched {
                    Fetched::SizeMismatch(_, _, size) => {
                        Some(format!("the service declares {size} bytes and sends {}", bytes.len()))
                    }
                    _ => None,
                };
                let undecodable = outcome.reason.map(str::to_owned);
                let reasons: Vec<_> = size_mismatch.into_iter().chain(undecodable.or(not_a_transcript)).collect();
                let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
                rows.append_bytes(row, name.as_deref(), bytes, &outcome, exchange.as_ref(), reason.as_deref());
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
    let TranscriptBatches { messages, sources, rejects } = transcript_rows.finish(extracted_at)?;
    Ok(DecodedPayloads { payloads: rows.finish(extracted_at)?, messages, sources, transcripts, rejects })
}
