//! Signing in: as an application against Microsoft Entra ID, as the machine, or as the user who ran `az login`.
//!
//! Why not `azure_identity` 1.0: its certificates need OpenSSL, it reads the environment itself, caches tokens and
//! retries by its own rules, and its errors quote the refusal.
//!
//! Knows no service: a token is for an origin.

pub(crate) mod application;
pub(crate) mod azure_cli;
pub(crate) mod certificate;
pub(crate) mod claims;
pub(crate) mod credential_file;
pub(crate) mod managed_identity;
pub(crate) mod secret;
pub(crate) mod sign_in;
pub(crate) mod store_token;
pub(crate) mod token;
pub(crate) mod token_cache;
pub(crate) mod token_client;
pub(crate) mod token_response;
