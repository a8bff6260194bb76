//! The paging cookie in links to the next page: opaque to clients, and refused unless it comes back verbatim.

use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::data::random::{hash, mix};
use crate::http::odata::{RESERVED, SKIP_TOKEN, decode, encode_lower};
use crate::http::response::ServiceError;

/// What the service encodes around the inner cookie, with digits in upper case.
const OUTER: &AsciiSet = &RESERVED.remove(b'=').remove(b'/');

/// Where the next page begins: after the rows before a time, and `ties` of the rows at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkPosition {
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) ties: usize,
}

/// A followed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedLink {
    /// The number of the page that it leads to; the first page is 1.
    pub(crate) page: u32,
    pub(crate) position: LinkPosition,
    /// The stamp of the token with which the read will end, if it tracks changes.
    pub(crate) tracking: Option<u64>,
}

/// Splits a query string into the part that the client wrote and the followed link.
///
/// `max_page` is the preferred page size, which must be that of the first request.
pub(crate) fn split(query: &str, max_page: Option<usize>) -> Result<(&str, Option<FollowedLink>), ServiceError> {
    let Some((base, token)) = query.split_once(&format!("{SKIP_TOKEN}=")) else {
        return match decode(query).contains(SKIP_TOKEN) {
            true => Err(altered()),
            false => Ok((query, None)),
        };
    };
    let base = base.strip_suffix('&').unwrap_or(base);
    let followed = read(token).ok_or_else(altered)?;
    // Only the text that would be sent again is accepted.
    if extend(base, followed, max_page) == query { Ok((base, Some(followed))) } else { Err(altered()) }
}

/// The query string that leads to a page: the client's own with the cookie added.
pub(crate) fn extend(base: &str, next: FollowedLink, max_page: Option<usize>) -> String {
    let FollowedLink { page, position, tracking } = next;
    let signed = format!("{base} {page} {} {} {max_page:?} {tracking:?}", position.time, position.ties);
    let signature = mix(hash(signed.as_bytes()), 0x6C69_6E6B);
    let before = page - 1;
    let cookie = format!(
        "<cookie page=\"{before}\"><row last=\"{}\" first=\"{}\"{} check=\"{signature:016x}\" /></cookie>",
        position.time,
        position.ties,
        tracking.map_or_else(String::new, |stamp| format!(" stamp=\"{stamp}\"")),
    );
    let is_tracking = if tracking.is_some() { "True" } else { "False" };
    let cookie = encode_lower(&cookie, b"-._~");
    let outer = format!("<cookie pagenumber=\"{page}\" pagingcookie=\"{cookie}\" istracking=\"{is_tracking}\" />");
    let separator = if base.is_empty() { "" } else { "&" };
    format!("{base}{separator}{SKIP_TOKEN}={}", utf8_percent_encode(&outer, OUTER))
}

fn read(token: &str) -> Option<FollowedLink> {
    let outer = decode(token);
    let page = attribute(&outer, "pagenumber")?.parse().ok().filter(|page| *page > 1)?;
    let cookie = decode(&attribute(&outer, "pagingcookie")?);
    let time = attribute(&cookie, "last")?.parse().ok()?;
    let ties = attribute(&cookie, "first")?.parse().ok()?;
    let tracking = attribute(&cookie, "stamp").and_then(|stamp| stamp.parse().ok());
    Some(FollowedLink { page, position: LinkPosition { time, ties }, tracking })
}

fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!(" {name}=\""))?;
    after.split_once('"').map(|(value, _)| value.to_owned())
}

fn altered() -> ServiceError {
    ServiceError::bad_request(
        "The paging link is not the one that was sent, or was sent with another odata.maxpagesize.",
    )
}

#[cfg(test)]
mod tests {
    use super::{FollowedLink, LinkPosition, extend, split};

    const NEXT: FollowedLink =
        FollowedLink { page: 2, position: LinkPosition { time: 1_750_000_000_000_000, ties: 3 }, tracking: None };

    #[test]
    fn a_link_comes_back_only_as_it_was() {
        let link = extend("$select=createdon&$filter=createdon%20ge%202025-06-22T00:00:00Z", NEXT, Some(500));
        let base = "$select=createdon&$filter=createdon%20ge%202025-06-22T00:00:00Z";
        assert_eq!(split(&link, Some(500)), Ok((base, Some(NEXT))));
        assert!(split(&link, None).is_err(), "another page size");
        assert!(split(&link.replace("%20", "+"), Some(500)).is_err(), "encoded again");
        assert!(split(&link.replace("%22", "\""), Some(500)).is_err(), "decoded");
        assert!(split(&link.replace("$skiptoken", "%24skiptoken"), Some(500)).is_err());
        assert!(split(&link.replace("createdon&", "createdon,modifiedon&"), Some(500)).is_err(), "edited");
        assert!(split(&format!("{link}&$top=1"), Some(500)).is_err(), "added to");
    }

    #[test]
    fn a_query_without_a_token_is_its_own_base() {
        assert_eq!(split("$top=1", None), Ok(("$top=1", None)));
        assert_eq!(split(&extend("", NEXT, None), None), Ok(("", Some(NEXT))));
        let tracking = FollowedLink { tracking: Some(7), ..NEXT };
        assert_eq!(split(&extend("", tracking, None), None), Ok(("", Some(tracking))));
    }
}
