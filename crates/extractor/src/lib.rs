//! Turns a table and a slice into a stream of raw pages from Dataverse or Microsoft Graph, and fetches the contents of
//! File columns.
//!
//! The main types: a [`Slice`] is a table, a scope and a time window; a [`Selection`] is the set of columns to request,
//! limited to what the [`Environment`] has. A [`Page`] is one response of the service: only its envelope is parsed, the
//! rows stay raw bytes. [`Dataverse`] is one environment and the identities that read it, with one connection
//! pool; each identity has limits of its own for pages and files. [`Graph`] is the same for a tenant of Microsoft Graph:
//! users, and the history of each at the rate that the tenant allows.
//!
//! ```no_run
//! # async fn example(settings: copilot_lake_extractor::DataverseSettings, slice: copilot_lake_extractor::Slice)
//! # -> Result<(), copilot_lake_extractor::Error> {
//! use futures::TryStreamExt;
//! let service = copilot_lake_extractor::Dataverse::new(settings)?;
//! let environment = service.environment(&[slice.table]).await?;
//! let Some(presence) = environment.table(slice.table.name) else { return Ok(()) };
//! let mut pages = std::pin::pin!(service.pages(&slice, &presence.selection));
//! while let Some(page) = pages.try_next().await? {
//!     // The next page is already on its way while these rows are decoded.
//!     assert!(page.rows().starts_with(b"["));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Guarantees: a token is sent only to the origin it was requested for; secrets, tokens and bodies never appear in
//! errors, logs or `Debug` output; URLs are logged without query and without ids of users and groups; links of the
//! service are opaque; an incomplete page is requested again and never handed out.

mod auth;
mod dataverse;
mod envelope;
mod error;
mod graph;
mod http;
mod json;
mod next_link;
mod object_id;
mod page;
mod page_stream;
mod slice;
mod text_file;

pub use auth::claims::TokenClaims;
pub use auth::secret::Secret;
pub use auth::sign_in::{Auth, Credential, NamedAuth};
pub use auth::store_token::StoreIdentity;
pub use dataverse::batched_fetch::BatchedFile;
pub use dataverse::change_tracking::TrackedChanges;
pub use dataverse::environment::{Environment, Presence};
pub use dataverse::file::FileContent;
pub use dataverse::file_address::FileAddress;
pub use dataverse::privileges::PrivilegeDepth;
pub use dataverse::probe::AnyFile;
pub use dataverse::selection::Selection;
pub use dataverse::service::{Dataverse, DataverseSettings};
pub use dataverse::who_am_i::WhoAmI;
pub use error::{Error, FailedCall};
pub use graph::history_query::HistoryQuery;
pub use graph::role;
pub use graph::service::{Graph, GraphSettings};
pub use http::identities::IdentityUsage;
pub use http::meter::Meter;
pub use http::network::Network;
pub use http::proxy::{ProxyFailure, ProxyVariable};
pub use object_id::printable_id;
pub use page::Page;
pub use slice::Slice;
pub use text_file::{NotText, text_of};

#[cfg(test)]
mod tests;
