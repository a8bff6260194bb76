//! HTTP: requests sent, retried, throttled and read, in the same way for every service.
//!
//! Knows no service: what differs between them is passed in as a [`dialect`]. Of identities it knows only the tokens of
//! [`crate::auth`].

pub(crate) mod admission;
pub(crate) mod attempt_error;
pub(crate) mod back_off_wait;
pub(crate) mod backoff;
pub(crate) mod batch_refusal;
pub(crate) mod body;
pub(crate) mod body_budget;
pub(crate) mod body_buffer;
pub(crate) mod body_reader;
pub(crate) mod call_cost;
pub(crate) mod cancellation;
pub(crate) mod client;
pub(crate) mod client_limits;
pub(crate) mod concurrency_limit;
pub(crate) mod dialect;
pub(crate) mod error_response;
pub(crate) mod failed_attempt;
pub(crate) mod held_back;
pub(crate) mod identities;
pub(crate) mod identity;
pub(crate) mod meter;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod outage;
pub(crate) mod outage_watch;
pub(crate) mod outages;
pub(crate) mod proxy;
pub(crate) mod rate_limiter;
pub(crate) mod request;
pub(crate) mod resource_gates;
pub(crate) mod retry;
pub(crate) mod service_clock;
pub(crate) mod service_probe;
pub(crate) mod throttle_gate;
pub(crate) mod throttle_scope;
pub(crate) mod transfer_limit;
pub(crate) mod verbatim_url;
