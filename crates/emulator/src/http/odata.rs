//! Pieces of OData text: percent-encoding, quoted strings, the key in an address, the tokens in links.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

/// The query option that leads to the next page.
pub(crate) const SKIP_TOKEN: &str = "$skiptoken";

/// The query option that leads to changes.
pub(crate) const DELTA_TOKEN: &str = "$deltatoken";

/// The key in a row's address: parts by name, in the order of the address. One without a name is the primary key.
pub(crate) type KeyParts = Vec<(Option<String>, String)>;

/// Decodes percent escapes; keeps `+` and malformed escapes.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Everything but what is never encoded in an address.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes everything but letters, digits and what is `plain`, with digits in lower case as the services do.
pub(crate) fn encode_lower(text: &str, plain: &[u8]) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    };
    text.bytes().map(encode).collect()
}

/// Reads `a=<guid>,b='text'` or a bare guid.
pub(crate) fn parse_key(text: &str) -> Option<KeyParts> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = match rest.split_once('=') {
            Some((name, after)) if !name.contains(['\'', ',']) => (Some(name.trim().to_owned()), after),
            _ => (None, rest),
        };
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        parts.push((name, value));
        rest = match after.strip_prefix(',') {
            Some(more) if !more.is_empty() => more,
            None if after.is_empty() => after,
            _ => return None,
        };
    }
    Some(parts)
}

/// Reads up to the closing quote; `''` is a quote. Returns the text and what follows it.
pub(crate) fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, rest)),
        }
    }
}
