//! Rows of a page to batches.

use copilot_lake_tables::{Instant, Labels, Table};

use super::decoded::Decoded;
use super::fast_path;
use super::page_columns::PageColumns;
use super::slow_path;
use super::wire_names::WireNames;
use crate::Error;
use crate::raw_object::describe_error;

/// Decodes the JSON array of a page's rows. `labels` are the service's, for codes that the catalogue does not know.
///
/// # Errors
/// [`Error::NotAPage`] if the text is not a JSON array in UTF-8. Bad rows and values are rejects, not errors.
pub fn decode_page(
    table: &'static Table,
    rows: &[u8],
    extracted_at: Instant,
    labels: &Labels,
) -> Result<Decoded, Error> {
    let not_a_page = |reason: String| Error::NotAPage { table: table.name, reason };
    // Validated once as a whole, so that no string of the page is validated again.
    let text = simdutf8::basic::from_utf8(rows).map_err(|_| not_a_page("not UTF-8".to_owned()))?;
    let mut columns = PageColumns::new(table, text.len());
    let mut names = WireNames::new(columns.wire_columns.iter().map(|column| column.wire));
    let mut misfits = Vec::new();

    if fast_path::read_rows(text, &mut columns, &mut names).is_none() {
        columns = PageColumns::new(table, text.len());
        slow_path::read_rows(text, &mut columns, &names, &mut misfits)
            .map_err(|error| not_a_page(describe_error(&error)))?;
    }
    columns.finish(table, extracted_at, labels, misfits)
}
