//! Next and delta links: opaque URLs, followed verbatim and only within the service's origin.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use url::Url;

use crate::error::{Error, FailedCall};
use crate::http::origin::is_same_origin;

/// The links followed by one stream.
#[derive(Debug)]
pub(crate) struct FollowedLinks {
    /// Any URL of the service: links must have its scheme, host and port.
    service: Url,
    /// Hashes of the links followed so far: a stream that repeats one would never end.
    followed: HashSet<u64>,
}

impl FollowedLinks {
    pub(crate) fn new(service: Url) -> Self {
        Self { service, followed: HashSet::new() }
    }

    /// The URL of a link from this call's response, to be followed now.
    pub(crate) fn follow(&mut self, link: &str, call: Box<FailedCall>) -> Result<Url, Error> {
        let url = self.check(link, call.clone())?;
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        if !self.followed.insert(hasher.finish()) {
            return Err(Error::BadPage { reason: "its next link was already followed".to_owned(), call });
        }
        Ok(url)
    }

    /// The URL of a link that is not followed now.
    pub(crate) fn check(&self, link: &str, call: Box<FailedCall>) -> Result<Url, Error> {
        let Ok(url) = Url::parse(link) else {
            return Err(Error::BadPage { reason: "its link is not an absolute URL".to_owned(), call });
        };
        if !is_same_origin(&self.service, &url) {
            return Err(Error::ForeignLink { origin: url.origin().ascii_serialization(), call });
        }
        Ok(url)
    }
}
