//! Microsoft Graph: users and their histories.
//!
//! Knows nothing of Dataverse.

pub(crate) mod graph_dialect;
pub(crate) mod graph_error;
pub(crate) mod history_query;
pub(crate) mod request;
pub mod role;
pub(crate) mod service;
pub(crate) mod sign_in;
