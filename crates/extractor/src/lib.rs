//! Turns a table and a slice into a stream of raw pages from Dataverse or Microsoft Graph, and fetches the bytes of File
//! columns.
//!
//! Four nouns. A [`Slice`] is a table, a scope and a window of time; a [`Selection`] is what is asked of its rows, as far as
//! the [`Environment`] has it. A [`Page`] is one answer of the service: only its envelope is parsed, the rows stay the
//! bytes that came. A [`Dataverse`] is the service: one identity, one pool of connections, one set of limits that pages
//! and files share. A [`Graph`] is the same for a tenant of Microsoft Graph: people, and each one's history at the pace that
//! the tenant allows.
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
//! What it holds to: a token goes only to the origin it was asked for; secrets, tokens and bodies reach no error, no log
//! and no Debug; URLs are logged without their query and without the ids of people and groups; a link of the service is opaque; a page that is not complete is
//! asked for again and never handed out.

mod auth;
mod backoff;
mod body;
mod budget;
mod client;
mod clock;
mod dataverse;
mod definition;
mod dialect;
mod envelope;
mod environment;
mod error;
mod fault;
mod files;
mod gate;
mod graph;
mod json;
mod key;
mod labels;
mod link;
mod meter;
mod network;
mod origin;
mod pacer;
mod page;
mod pages;
mod permits;
mod privileges;
mod probe;
mod refusal;
mod request;
mod retry;
mod secret;
mod selection;
mod slice;
mod text_file;
mod token;
mod totals;
mod tracking;

pub use auth::{Auth, Credential};
pub use dataverse::{Dataverse, DataverseSettings, WhoAmI};
pub use environment::{Environment, Presence};
pub use error::{Call, Error};
pub use files::{File, FileAddress};
pub use graph::{Graph, GraphSettings, HistoryAsk, TokenClaims, role};
pub use meter::Meter;
pub use network::Network;
pub use page::Page;
pub use privileges::Depth;
pub use probe::AnyFile;

pub use secret::Secret;
pub use selection::Selection;
pub use slice::Slice;
pub use text_file::{NotText, text_of};
pub use tracking::Tracking;

#[cfg(test)]
mod tests;
