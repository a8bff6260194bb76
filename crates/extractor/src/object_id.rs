//! Ids of users, groups and organizations: GUIDs. Nothing else that a service sends in place of one is printed, requested
//! or stored as it is.
//!
//! <https://learn.microsoft.com/graph/api/resources/directoryobject>

use std::borrow::Cow;

use copilot_lake_tables::is_guid;
use serde::{Deserialize, Deserializer};

/// The id, if it is one.
pub(crate) fn object_id(text: &str) -> Option<&str> {
    Some(text).filter(|text| is_guid(text))
}

/// Reads an id; any other text is an error, which does not repeat it.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let text = String::deserialize(value)?;
    if is_guid(&text) { Ok(text) } else { Err(serde::de::Error::custom("not an id")) }
}

/// What stands for a user whose id or name is not valid: at most 64 characters, none of which controls a terminal or
/// begins a line. Valid ones stay as they are.
pub fn printable_id(text: &str) -> Cow<'_, str> {
    const MOST: usize = 64;
    let is_plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    if is_guid(text) || (text.chars().all(is_plain) && text.chars().count() <= MOST) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(MOST).map(|c| if is_plain(c) { c } else { '?' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_guid() {
        const ID: &str = "F9D841E5-0000-4000-8000-00000000beef";
        let read = |text: &str| deserialize(serde_json::Value::from(text)).ok();
        assert_eq!((object_id(ID), read(ID).as_deref()), (Some(ID), Some(ID)));
        for bad in ["", "u", "f9d841e5", "../x", "a/b", "a\nb", "f9d841e5-0000-4000-8000-00000000bee?", &ID.repeat(2)] {
            assert_eq!((object_id(bad), read(bad)), (None, None), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_printed_on_one_line() {
        for (text, printed) in [
            ("f9d841e5-0000-4000-8000-00000000beef", "f9d841e5-0000-4000-8000-00000000beef"),
            ("zoë@contoso.example", "zoë@contoso.example"),
            ("00000000-0000-4000-8000/00000000f000", "00000000-0000-4000-8000/00000000f000"),
            ("a\nerror: forged", "a?error: forged"),
            ("\u{1b}[31mx\u{202e}y\u{9b}", "?[31mx?y?"),
        ] {
            assert_eq!(printable_id(text), printed);
        }
        assert_eq!(printable_id(&"x".repeat(99)).len(), 64);
    }
}
