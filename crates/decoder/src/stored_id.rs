//! Ids as they are stored.

use std::borrow::Cow;

use arrow::array::StringBuilder;
use copilot_lake_tables::is_guid;

/// Appends an id as it is stored.
pub(crate) fn append_guid(builder: &mut StringBuilder, text: &str) {
    builder.append_value(stored_id(text));
}

/// An id as it is stored: a valid GUID in lower case, anything else as it came.
pub(crate) fn stored_id(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|c| c.is_ascii_uppercase()) && is_guid(text) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
