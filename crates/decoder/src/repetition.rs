//! What is written more than once although it was sent once: keys of parents in the rows of their children, properties of
//! a chat in the rows of its messages.
//!
//! A long key and many short children are a small text that would fill the memory.

/// Times that the length of the text may be written.
const TIMES: usize = 16;

/// Bytes that may be written in any case.
const BYTES: usize = 4 << 20;

/// Whether so many repeated bytes may be made of a text.
pub(crate) fn may_repeat(repeated: usize, text: &str) -> bool {
    repeated <= text.len() * TIMES + BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_cases() {
        let text = "x".repeat(1 << 20);
        for (repeated, text, expected) in [
            (0, "", true),
            (4 << 20, "", true),
            ((4 << 20) + 1, "", false),
            (20 << 20, text.as_str(), true),
            ((20 << 20) + 1, text.as_str(), false),
            (usize::MAX, text.as_str(), false),
        ] {
            assert_eq!(may_repeat(repeated, text), expected, "{repeated} bytes of {}", text.len());
        }
    }
}
