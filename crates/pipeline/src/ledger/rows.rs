//! The rows of the bookkeeping tables, column by column.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{Instant, Type};

use crate::ledger::slice_row::{SliceCounts, SliceRow};
use crate::report::Report;

/// Rows, as one named array per column.
pub(super) type NamedArrays = Vec<(&'static str, ArrayRef)>;

/// The row of a run, with its end when it has one.
pub(super) fn run_row(
    run_id: &str,
    command: &str,
    started_at: Instant,
    outcome: Option<&str>,
    end: Option<(Instant, &Report)>,
) -> NamedArrays {
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

/// The rows of slices, each with its watermark.
pub(super) fn slice_rows(run_id: &str, rows: &[(&SliceRow, Option<Instant>)]) -> NamedArrays {
    fn texts<'r>(rows: &'r [(&SliceRow, Option<Instant>)], of: impl Fn(&'r SliceRow) -> Option<&'r str>) -> ArrayRef {
        Arc::new(rows.iter().map(|(row, _)| of(row)).collect::<StringArray>())
    }
    let times = |of: &dyn Fn(&SliceRow) -> Option<Instant>| -> ArrayRef {
        let times = rows.iter().map(|(row, _)| of(row).map(|at| at.0));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let counts = |of: &dyn Fn(&SliceCounts) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(row, _)| of(&row.received) as i64)))
    };
    let throttled = rows.iter().map(|(row, _)| (row.received.throttled_seconds * 1e12) as i128);
    let throttled = Decimal128Array::from_iter_values(throttled).with_data_type(Type::Decimal.data_type());
    let done_until = rows.iter().map(|(_, done_until)| done_until.map(|at| at.0));
    vec![
        ("run_id", texts(rows, |_| Some(run_id))),
        ("source", texts(rows, |row| Some(row.slice.table.source_name()))),
        ("table_name", texts(rows, |row| Some(row.slice.table.name))),
        ("scope", texts(rows, |row| Some(&row.slice.scope))),
        ("clock", texts(rows, |row| Some(row.slice.time_column))),
        ("window_start", times(&|row| Some(row.slice.start))),
        ("window_end", times(&|row| Some(row.slice.end))),
        ("as_of", times(&|row| row.received.as_of)),
        ("done_until", Arc::new(done_until.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("finished_at", times(&|row| Some(row.finished_at))),
        ("status", texts(rows, |row| Some(row.status.name()))),
        ("pages", counts(&|counts| counts.pages)),
        ("rows", counts(&|counts| counts.rows)),
        ("rejected", counts(&|counts| counts.rejected)),
        ("requests", counts(&|counts| counts.requests)),
        ("throttled_seconds", Arc::new(throttled)),
        ("selection", texts(rows, |row| Some(&row.selection))),
        ("reason", texts(rows, |row| row.reason.as_deref())),
        ("token", texts(rows, |row| row.token.as_deref())),
        ("extracted_at", times(&|row| Some(row.finished_at))),
    ]
}

/// A hash of the key of a slice's row.
pub(super) fn key_hash(run_id: &str, row: &SliceRow) -> u64 {
    let Slice { table, scope, time_column, start, .. } = &row.slice;
    let mut hasher = DefaultHasher::new();
    (run_id, table.source_name(), table.name, scope, time_column, start.0).hash(&mut hasher);
    hasher.finish()
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
