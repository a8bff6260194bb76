//! `extraction_slice`: the ledger. What resume reads.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// The ledger: one row per slice that was done, failed or skipped.
pub static EXTRACTION_SLICE: Table = Table::new(
    "extraction_slice",
    Source::Bookkeeping,
    &[
        Column::text("run_id").required().doc("The run."),
        Column::text("source").required().doc("`dataverse` or `graph`; `lake` of `views`."),
        Column::text("table_name").required().doc("The table that was read; of `views` the view that was made."),
        Column::text("scope").required().doc("The Graph user; else empty."),
        Column::text("clock").required().doc(
            "What the window is about: `createdon`, `modifiedon`, `createdDateTime`, `tracking` for deletions, \
             `payloads`: a week whose Files are all in the lake, or `views`: a week of a materialized view that was made.",
        ),
        Column::instant("window_start").required().doc("Start of the window, included."),
        Column::instant("window_end").doc("End of the window, excluded."),
        Column::instant("as_of").doc("The service's time before the first request of the slice."),
        Column::instant("done_until").doc("The watermark of the scope after this row: everything before it was read."),
        Column::instant("finished_at").doc("When the slice ended."),
        Column::text("status").doc("`done`, `failed` or `skipped`."),
        Column::int64("pages").doc("Pages received."),
        Column::int64("rows").doc("Rows received."),
        Column::int64("rejected").doc("Values that did not fit."),
        Column::int64("requests").doc("Requests made, retries included."),
        Column::decimal("throttled_seconds").doc("Time spent waiting because the service said so."),
        Column::text("selection").doc(
            "What was requested: columns, app classes. Of `payloads` a fingerprint of the week's rows and payloads: it \
             counts while they are the same; empty: not complete any more. Of `views` those of the rows that it was made from.",
        ),
        Column::text("reason").doc("Why it failed or was skipped."),
        Column::text("token").doc("The change tracking token, where one was given."),
    ],
)
.doc("The ledger: which windows of which tables were read, and how that ended.")
.key(&["run_id", "source", "table_name", "scope", "clock", "window_start"])
.time(TimeOf::Unpartitioned("finished_at"));
