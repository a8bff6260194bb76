//! Microsoft Graph: users and their histories.
//!
//! Knows nothing of Dataverse.

pub(crate) mod dialect;
pub(crate) mod error_response;
pub(crate) mod history_query;
pub(crate) mod request;
pub mod role;
pub(crate) mod service;
