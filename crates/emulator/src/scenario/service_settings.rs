//! Settings of the emulated service.

use serde::Deserialize;

/// The lifetime of tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenSettings {
    pub(crate) lifetime: u64,
    pub(crate) requests: Option<u64>,
}

/// How the service behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceSettings {
    pub(crate) max_page: usize,
    pub(crate) full_page_link: bool,
    pub(crate) gzip: bool,
    pub(crate) dop_hint: u32,
    pub(crate) latency_ms: u64,
    pub(crate) elastic_count: bool,
    pub(crate) language: i32,
    pub(crate) base_language: i32,
    pub(crate) ranges: Ranges,
    /// The status with which every batch is refused.
    pub(crate) refuse_batches: Option<u16>,
    pub(crate) limits: Option<ServiceLimits>,
}

/// How requests for a part of a File are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ranges {
    /// With at most 4 MiB.
    Served,
    /// With an error, as for Files in the database.
    Refused,
    /// With all of the File.
    Ignored,
}

/// Service protection limits of one application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServiceLimits {
    /// Requests per window.
    pub(crate) requests: usize,
    /// Seconds.
    pub(crate) window: u64,
    /// Concurrent requests.
    pub(crate) concurrency: usize,
    /// Seconds of execution per window.
    pub(crate) execution: u64,
    /// The nominal duration of every request, and of each one in a batch.
    pub(crate) ms_per_request: u64,
    /// Servers that take the requests in turn, each with counters of its own.
    pub(crate) servers: usize,
    /// How many times as fast time passes, for the window and for `Retry-After`.
    pub(crate) compression: u32,
}

/// What is different for one of the applications.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplicationSpec {
    /// Counted from 1.
    pub(crate) number: usize,
    /// After so many requests neither its tokens nor its credentials are accepted.
    pub(crate) revoked_after: Option<u64>,
    /// Whether the environment has a user for it.
    #[serde(default = "yes")]
    pub(crate) member: bool,
}

const fn yes() -> bool {
    true
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { lifetime: 3_600, requests: None }
    }
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            max_page: 5_000,
            full_page_link: false,
            gzip: false,
            dop_hint: 52,
            latency_ms: 0,
            elastic_count: true,
            language: 1_033,
            base_language: 1_033,
            ranges: Ranges::Served,
            refuse_batches: None,
            limits: None,
        }
    }
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            requests: 6_000,
            window: 300,
            concurrency: 52,
            execution: 1_200,
            ms_per_request: 0,
            servers: 1,
            compression: 1,
        }
    }
}
