//! `rejected_record`: values that did not fit their column, with their raw text.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

/// A value that did not fit its column: null in the row, kept here as it came.
pub static REJECTED_RECORD: Table = Table::new(
    "rejected_record",
    Source::Bookkeeping,
    &[
        Column::text("source").required().doc("`dataverse` or `graph`."),
        Column::text("table_name").required().doc("The table of the row."),
        Column::text("record_key").required().unique().bloom().doc("The row's key, its parts joined by `/`."),
        Column::text("column_name").required().doc("The column that is null in the row."),
        Column::text("run_id").provenance().doc("The run that found it."),
        Column::text("reason").doc("Why the value did not fit."),
        Column::text("raw_json").unique().doc("The value as it came."),
    ],
)
.doc("Values that did not fit their column, with their raw text.")
.key(&["source", "table_name", "record_key", "column_name"])
.time(TimeOf::Unpartitioned("extracted_at"));
