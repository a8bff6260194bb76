//! HTTP: what Dataverse, Graph and the token service share, from sign-in to the bytes that go out.
//!
//! Knows no table, no row and no user.

pub(crate) mod client_assertion;
pub(crate) mod due_faults;
pub(crate) mod lexer;
pub(crate) mod managed_identity;
pub(crate) mod response;
pub(crate) mod token_issuer;
