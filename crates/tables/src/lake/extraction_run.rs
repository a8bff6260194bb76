//! `extraction_run`: one row per run of a writing command.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A run of a writing command.
pub static EXTRACTION_RUN: Table = Table::new(
    "extraction_run",
    Source::Bookkeeping,
    &[
        Column::text("run_id").required().unique().doc("The run: sorts by its start."),
        Column::instant("started_at").doc("When it started, by the service's clock."),
        Column::instant("finished_at").doc("When it ended; null while it runs and after it was killed."),
        Column::text("version").doc("The program's version."),
        Column::text("command").doc("The command, such as `extract`."),
        Column::text("outcome").doc(
            "`complete`, `partial` or `failed`, `replayed` when only an archive tells of it; null until the end: a killed run keeps it.",
        ),
        Column::int64("slices_done").doc("Slices that were committed."),
        Column::int64("slices_failed").doc("Slices that failed, with a reason in `extraction_slice`."),
        Column::int64("slices_skipped").doc("Slices that could not be read and did not have to be."),
        Column::int64("rows_received").doc("Rows that the service sent."),
        Column::int64("rows_written").doc("Rows that were new or changed."),
        Column::int64("payloads").doc("Payloads that were written."),
        Column::int64("payloads_failed").doc("Payloads that could not be fetched."),
        Column::int64("rejected").doc("Values in `rejected_record`."),
        Column::int64("requests").doc("Requests to the service, retries included."),
    ],
)
.doc("Runs of the program: when, what and with which outcome.")
.key(&["run_id"])
.time(TimeOf::Unpartitioned("started_at"));
