//! Ids in the form in which they are stored.

use std::borrow::Cow;

use arrow::array::StringBuilder;
use copilot_lake_tables::is_guid;

/// Appends an id in its stored form.
pub(crate) fn append_guid(builder: &mut StringBuilder, text: &str) {
    builder.append_value(stored_id(text));
}

/// The stored form of an id: a valid GUID in lower case, anything else unchanged.
pub(crate) fn stored_id(text: &str) -> Cow<'_, str> {
    // All bytes are looked at, since that is done many at a time: most ids have no upper case.
    let has_upper = text.bytes().fold(false, |has, c| has | c.is_ascii_uppercase());
    if has_upper && is_guid(text) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}
