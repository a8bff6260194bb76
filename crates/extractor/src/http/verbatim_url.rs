//! URLs whose path and query are sent as they were written.

use std::sync::Once;

use serde_json::Value;
use url::{Position, Url};

/// Says once that links cannot be sent as they came.
static WARNING: Once = Once::new();

/// The URL of a link, whose characters leave as they came. What HTTP cannot carry is percent-encoded: spaces, quotation
/// marks, `<`, `>` and everything beyond ASCII. Scheme, host and port are those that any other parser sees.
///
/// [`Url::parse`] alone would encode more, such as `'` in a query, and resolve `..` in a path.
pub(crate) fn verbatim_url(text: &str) -> Result<Url, url::ParseError> {
    let url = Url::parse(text)?;
    let Some(target) = target(&url, text) else { return Ok(url) };
    Ok(with_target(&url, &target).unwrap_or_else(|| {
        WARNING.call_once(|| tracing::warn!("a link is sent with some characters encoded, not as it came"));
        url
    }))
}

/// Path and query as they were written, if they differ from those of the URL; `None` for a text with parts that could be
/// read in more than one way.
fn target(url: &Url, text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let text = text.trim().split('#').next()?;
    let (scheme, rest) = text.split_once("://")?;
    let (authority, target) = rest.split_at(rest.find(['/', '?'])?);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_plain = scheme.eq_ignore_ascii_case(url.scheme())
        && (host.eq_ignore_ascii_case(url.host_str()?) || authority.eq_ignore_ascii_case(url.host_str()?));
    if !is_plain || !target.starts_with('/') {
        return None;
    }
    let mut written = String::with_capacity(target.len());
    let mut in_query = false;
    for byte in target.bytes() {
        in_query |= byte == b'?';
        if is_carried(byte, in_query) {
            written.push(char::from(byte));
        } else {
            written.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
    (written != url[Position::BeforePath..Position::AfterQuery]).then_some(written)
}

/// Whether HTTP carries a byte as it is.
fn is_carried(byte: u8, in_query: bool) -> bool {
    match byte {
        b'"' | b'<' | b'>' | b'#' => false,
        b'^' | b'`' | b'{' | b'|' | b'}' => in_query,
        byte => byte.is_ascii_graphic(),
    }
}

/// The URL with another path and query. The setters of [`Url`] would encode them, so they are put into its parts; `None` if
/// these are not as expected, as in a build of `url` with debug assertions.
fn with_target(url: &Url, target: &str) -> Option<Url> {
    const PARTS: usize = 10;
    const TEXT: usize = 0;
    const QUERY_START: usize = 8;
    const FRAGMENT_START: usize = 9;
    let Value::Array(mut parts) = url.serialize_internal(serde_json::value::Serializer).ok()? else { return None };
    if parts.len() != PARTS || parts[TEXT] != url.as_str() {
        return None;
    }
    let before = &url[..Position::BeforePath];
    parts[TEXT] = format!("{before}{target}").into();
    parts[QUERY_START] = target.find('?').map_or(Value::Null, |at| (before.len() + at).into());
    parts[FRAGMENT_START] = Value::Null;
    let written = Url::deserialize_internal(Value::Array(parts)).ok()?;
    (written.origin() == url.origin() && &written[Position::BeforePath..] == target).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        let url = verbatim_url(text).unwrap();
        assert_eq!(url.origin(), Url::parse(text).unwrap().origin(), "{text}");
        url[Position::BeforePath..Position::AfterQuery].to_owned()
    }

    #[test]
    fn characters_leave_as_they_came() {
        for target in [
            "/v1.0/users('a')/x?$filter=appClass+eq+'a'&$skiptoken=U2tpcA%3d%3d",
            "/x?a={b}|c^d`e~f!g*h(i)j,k;l:m@n$o[p]&%zz%2F%2f",
            "/a/../b/./c//d?e=..",
            "/'?'",
            "/",
            "/?",
        ] {
            assert_eq!(sent(&format!("https://graph.microsoft.com{target}")), target);
            assert_eq!(sent(&format!("http://127.0.0.1:8080{target}#fragment")), target);
            assert_eq!(sent(&format!("HTTPS://GRAPH.microsoft.com:443{target}")), target);
        }
    }

    #[test]
    fn what_http_cannot_carry_is_encoded_and_nothing_else() {
        assert_eq!(sent("https://h.example/é?a='b c'&d=\"<e>\"ü"), "/%C3%A9?a='b%20c'&d=%22%3Ce%3E%22%C3%BC");
        assert_eq!(sent("https://h.example/a{b}?c={d}'"), "/a%7Bb%7D?c={d}'");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_read_as_usual() {
        for text in [
            "https://h.example\\@evil.example/x?'",
            "https://h.example/a\\b?'",
            "https://h.example/a\tb?'",
            "https://user@h.example/x?'",
            "https:h.example/x?'",
            "https://h.example?'",
            "https://0x7f.1/x?'",
        ] {
            assert_eq!(verbatim_url(text).unwrap(), Url::parse(text).unwrap(), "{text}");
        }
        assert!(verbatim_url("next").is_err());
    }
}
