//! HTTP: what Dataverse, Graph and the token service share, from sign-in to response bytes.
//!
//! Knows no table, no row and no user.

pub(crate) mod api_request;
pub(crate) mod client_assertion;
pub(crate) mod faults;
pub(crate) mod filter;
pub(crate) mod managed_identity_token;
pub(crate) mod odata;
pub(crate) mod preferences;
pub(crate) mod recorder;
pub(crate) mod request_kind;
pub(crate) mod response;
pub(crate) mod token_issuer;
