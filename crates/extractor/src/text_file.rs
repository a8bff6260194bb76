//! Text files written by people: UTF-8, with or without a byte-order mark.
//!
//! Windows editors add the mark, and PowerShell writes UTF-16 unless told otherwise.

/// Why a file is not UTF-8 text; worded to follow the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// UTF-16, recognised by its byte-order mark or by the zero bytes of its first character.
    #[error("is UTF-16; save it as UTF-8")]
    Utf16,
    /// Bytes that are not valid UTF-8.
    #[error("is not UTF-8; save it as UTF-8")]
    NotUtf8,
}

/// The text of a file, without its byte-order mark.
///
/// # Errors
/// The encoding it has instead.
pub fn text_of(bytes: &[u8]) -> Result<&str, NotText> {
    if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..] = bytes {
        return Err(NotText::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NotText::NotUtf8)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        assert_eq!(text_of(b"s3cret\r\n"), Ok("s3cret\r\n"));
        assert_eq!(text_of(b"\xEF\xBB\xBFs3cret"), Ok("s3cret"));
        assert_eq!((text_of(b""), text_of(b"\xEF\xBB\xBF"), text_of("é".as_bytes())), (Ok(""), Ok(""), Ok("é")));
    }

    #[test]
    fn utf_16_is_said_to_be_that_with_a_mark_and_without() {
        for bytes in [&b"\xFF\xFEs\0"[..], b"\xFE\xFF\0s", b"s\x003\0", b"\0s\x003", b"\xFF\xFE"] {
            assert_eq!(text_of(bytes), Err(NotText::Utf16), "{bytes:?}");
        }
        // A Latin letter with an accent, and a certificate in DER.
        for bytes in [&b"caf\xE9"[..], b"\x30\x82\x09\xEF\x02\x01\x00"] {
            assert_eq!(text_of(bytes), Err(NotText::NotUtf8), "{bytes:?}");
        }
    }
}
