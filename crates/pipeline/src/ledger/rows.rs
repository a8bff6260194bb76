//! The rows of the bookkeeping tables, column by column.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, Type};

use crate::ledger::SliceRow;
use crate::report::Report;

/// A row, one array per column.
pub(super) type Row = Vec<(&'static str, ArrayRef)>;

/// The row of a run, with its end when it has one.
pub(super) fn run(
    run_id: &str,
    command: &str,
    started_at: Instant,
    outcome: Option<&str>,
    end: Option<(Instant, &Report)>,
) -> Row {
    let count = |of: fn(&Report) -> u64| integer(end.map(|(_, report)| of(report)));
    vec![
        ("run_id", text(Some(run_id))),
        ("started_at", utc(Some(started_at))),
        ("finished_at", utc(end.map(|(at, _)| at))),
        ("version", text(Some(env!("CARGO_PKG_VERSION")))),
        ("command", text(Some(command))),
        ("outcome", text(outcome)),
        ("slices_done", count(|report| report.total(|table| table.slices_done))),
        ("slices_failed", count(|report| report.total(|table| table.slices_failed))),
        ("slices_skipped", count(|report| report.total(|table| table.slices_skipped))),
        ("rows_received", count(|report| report.total(|table| table.rows_received))),
        ("rows_written", count(|report| report.total(|table| table.rows_written))),
        ("payloads", count(|report| report.total(|table| table.payloads))),
        ("payloads_failed", count(|report| report.total(|table| table.payloads_failed))),
        ("rejected", count(|report| report.total(|table| table.rejected))),
        ("requests", count(|report| report.requests)),
        ("extracted_at", utc(Some(end.map_or(started_at, |(at, _)| at)))),
    ]
}

/// The row of a slice.
pub(super) fn slice(run_id: &str, row: &SliceRow<'_>, done_until: Option<Instant>) -> Row {
    let (slice, received) = (row.slice, row.received);
    let throttled = Decimal128Array::from(vec![(received.throttled_seconds * 1e12) as i128])
        .with_data_type(Type::Decimal.data_type());
    vec![
        ("run_id", text(Some(run_id))),
        ("source", text(Some(slice.table.source_name()))),
        ("table_name", text(Some(slice.table.name))),
        ("scope", text(Some(&slice.scope))),
        ("clock", text(Some(slice.clock))),
        ("window_start", utc(Some(slice.start))),
        ("window_end", utc(Some(slice.end))),
        ("as_of", utc(received.as_of)),
        ("done_until", utc(done_until)),
        ("finished_at", utc(Some(row.finished_at))),
        ("status", text(Some(row.status))),
        ("pages", integer(Some(received.pages))),
        ("rows", integer(Some(received.rows))),
        ("rejected", integer(Some(received.rejected))),
        ("requests", integer(Some(received.requests))),
        ("throttled_seconds", Arc::new(throttled)),
        ("selection", text(Some(row.selection))),
        ("reason", text(row.reason.as_deref())),
        ("token", text(row.token)),
        ("extracted_at", utc(Some(row.finished_at))),
    ]
}

fn text(text: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn integer(value: Option<u64>) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value.map(|value| value as i64)]))
}

fn utc(at: Option<Instant>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![at.map(|at| at.0)]).with_timezone("UTC"))
}
