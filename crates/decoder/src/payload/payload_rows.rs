//! Rows of `payload`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, PAYLOAD, Week};

use super::charset::{DecodedText, TextStatus};
use super::exchange::Exchange;
use super::raw_payload::SourceRow;
use crate::week::by_week;
use crate::{Error, assemble};

/// Bytes of a File for each byte of its text, at least: base64 of UTF-16LE has 2.7 where the text is ASCII, and 2.1 with
/// one character of three bytes in ten. Of other Files the room is too small, and grows.
const TEXT_SHARE: usize = 2;

#[derive(Default)]
pub(super) struct PayloadRows {
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
    prompt_text: StringBuilder,
    response_text: StringBuilder,
    text: StringBuilder,
    raw_base64: StringBuilder,
}

impl PayloadRows {
    /// No rows yet, with room for the texts of that many Files of so many bytes.
    pub(super) fn with_capacity(files: usize, bytes: usize) -> Self {
        Self { text: StringBuilder::with_capacity(files, bytes / TEXT_SHARE), ..Self::default() }
    }

    fn append_row(&mut self, row: &SourceRow, name: Option<&str>) {
        self.source_table.append_value(row.table);
        self.source_id.append_value(&row.id);
        self.source_partitionid.append_value(&row.partition_id);
        self.column_name.append_value(row.column);
        self.row_time.push(row.row_time.0);
        self.file_id.append_value(&row.file_id);
        self.file_name.append_option(name.or(row.file_name.as_deref()));
    }

    pub(super) fn append_bytes(
        &mut self,
        row: &SourceRow,
        name: Option<&str>,
        bytes: &[u8],
        outcome: &DecodedText<'_>,
        exchange: Option<&Exchange<'_>>,
        reason: Option<&str>,
    ) {
        self.append_row(row, name);
        self.byte_length.append_value(bytes.len() as i64);
        self.status.append_value(match outcome.status {
            TextStatus::Decoded => "decoded",
            TextStatus::Empty => "empty",
            TextStatus::Undecodable => "undecodable",
        });
        self.encoding.append_option((!outcome.encoding.is_empty()).then_some(outcome.encoding));
        self.reason.append_option(reason);
        self.prompt_text.append_option(exchange.map(|exchange| &exchange.prompt));
        self.response_text.append_option(exchange.map(|exchange| &exchange.response));
        self.text.append_option(outcome.text);
        if outcome.status == TextStatus::Undecodable {
            self.raw_base64.append_value(base64_simd::STANDARD.encode_to_string(bytes));
        } else {
            self.raw_base64.append_null();
        }
    }

    pub(super) fn append_nothing(&mut self, row: &SourceRow, status: &str, length: Option<i64>, reason: &str) {
        self.append_row(row, None);
        self.byte_length.append_option(length);
        self.status.append_value(status);
        self.encoding.append_null();
        self.reason.append_value(reason);
        self.prompt_text.append_null();
        self.response_text.append_null();
        self.text.append_null();
        self.raw_base64.append_null();
    }

    pub(super) fn finish(mut self, extracted_at: Instant) -> Result<Vec<(Week, RecordBatch)>, Error> {
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
            ("prompt_text", &mut self.prompt_text),
            ("response_text", &mut self.response_text),
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
