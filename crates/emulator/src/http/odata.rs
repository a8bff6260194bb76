//! Pieces of OData text: percent-encoding, quoted strings, the key in an address, the tokens in links.

use percent_encoding::percent_decode_str;

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
