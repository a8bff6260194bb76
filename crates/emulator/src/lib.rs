//! A local Dataverse, Microsoft Graph and Entra token service that answers from table definitions and misbehaves on request.
//!
//! An [`Emulator`] has the tables that a [`Scenario`] describes: rows made from a seed, rows spelled out, faults, phases.
//! It speaks HTTP/1.1 without TLS; behind a proxy that ends TLS, links have the scheme and the host of `X-Forwarded-Proto` and
//! `X-Forwarded-Host`. Everything is derived from the definitions in `copilot-lake-tables`; meaning beyond the
//! type is given only to made-up values. Deviations from the service: rows without `$orderby` come by creation, not by key.
//!
//! Tokens: `POST /<tenant>/oauth2/v2.0/token` for a secret or a client assertion, `GET /metadata/identity/oauth2/token` as on a
//! virtual machine, `GET /msi/token` as in App Service. A token is good at the origin that it was asked for.
//!
//! Microsoft Graph is at `/v1.0` and `/beta` of the same address: users, members of groups, deleted users, and histories of
//! interactions with Copilot. Its tokens say what the application may do. Two folders of a mailbox are made up.
//!
//! Beside the service's own paths it has, without sign-in:
//! `GET /_emulator/served` ([`Served`] as JSON), `GET /_emulator/requests` ([`RecordedRequest`] per line),
//! `GET /_emulator/rows/<table>` (key, `modifiedon`, `versionnumber` and `week` of every row per line),
//! `GET /_emulator/graph/users` (a user as JSON per line), `GET /_emulator/graph/interactions` (user, session, id,
//! `createdDateTime`, `interactionType`, `appClass` and the FNV-1a-64 of the body's content in hex, of every interaction that can
//! be read now per line, between tabs) and
//! `POST /_emulator/advance` (the next phase).
//!
//! ```
//! use copilot_lake_emulator::{Emulator, Scenario};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scenario = Scenario::parse("[[table]]\nname = \"msdyn_copilotevent\"\nrows = 100\nweeks = 2")?;
//! let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await?;
//! assert_eq!(emulator.served().tables["msdyn_copilotevent"].rows, 100);
//! emulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod clock;
mod control;
mod data;
mod dataverse;
mod emulator;
mod error;
mod graph;
mod http;
mod identity;
mod route;
mod scenario;
mod served;
mod server;
mod state;
mod tables;

pub use emulator::Emulator;
pub use error::Error;
pub use graph::report::Interaction;
pub use identity::{
    CLIENT_ID, CLIENT_ID_2, CLIENT_SECRET, CLIENT_SECRET_2, FEDERATED_TOKEN, IDENTITY_HEADER, ORGANIZATION_ID,
    TENANT_ID, USER_ID,
};
pub use scenario::definition::Scenario;
pub use served::{GraphServed, RecordedRequest, Served, TableServed};

#[cfg(test)]
mod tests;
