//! Next and delta links: opaque URLs, followed verbatim and only within the service's origin.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use url::Url;

use crate::error::{Error, FailedCall};
use crate::http::origin::is_same_origin;
use crate::http::verbatim_url::verbatim_url;

/// Empty pages in a row after which the service is taken to be at fault: hundreds of them are normal.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// The links followed by one stream.
#[derive(Debug)]
pub(crate) struct FollowedLinks {
    /// Any URL of the service: links must have its scheme, host and port.
    service: Url,
    /// Hashes of the links followed so far: a stream that repeats one would never end.
    followed: HashSet<u64>,
    /// Pages without rows since the last one with some.
    empty_pages: u32,
}

impl FollowedLinks {
    pub(crate) fn new(service: Url) -> Self {
        Self { service, followed: HashSet::new(), empty_pages: 0 }
    }

    /// The URL of a link from this call's response, to be followed now. `page_is_empty`: the response has no rows.
    pub(crate) fn follow(&mut self, link: &str, page_is_empty: bool, call: Box<FailedCall>) -> Result<Url, Error> {
        let url = self.check(link, call.clone())?;
        self.empty_pages = if page_is_empty { self.empty_pages + 1 } else { 0 };
        if self.empty_pages >= MAX_EMPTY_PAGES {
            let reason = "1,000 pages in a row have no rows, and there is still a next link".to_owned();
            return Err(Error::BadPage { reason, call });
        }
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        if !self.followed.insert(hasher.finish()) {
            return Err(Error::BadPage { reason: "its next link was already followed".to_owned(), call });
        }
        Ok(url)
    }

    /// The URL of a link that is not followed now.
    pub(crate) fn check(&self, link: &str, call: Box<FailedCall>) -> Result<Url, Error> {
        let Ok(url) = verbatim_url(link) else {
            return Err(Error::BadPage { reason: "its link is not an absolute URL".to_owned(), call });
        };
        if !is_same_origin(&self.service, &url) {
            return Err(Error::ForeignLink { origin: url.origin().ascii_serialization(), call });
        }
        Ok(url)
    }
}
