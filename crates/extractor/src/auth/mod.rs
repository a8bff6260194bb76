//! Signing in: as an application against Microsoft Entra ID, as the machine, or as whoever ran `az login`.
//!
//! Not by `azure_identity` 1.0, which does not fit: its certificates need OpenSSL, and it reads the environment, keeps
//! tokens and repeats requests by rules of its own, and shows what a refusal says.
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
pub(crate) mod token;
pub(crate) mod token_cache;
pub(crate) mod token_client;
pub(crate) mod token_response;
