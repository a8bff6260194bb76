//! A local Dataverse, Microsoft Graph and Entra token service that misbehaves on request.
//!
//! An [`Emulator`] serves what a [`Scenario`] describes: generated rows, explicit rows, faults, phases. It speaks HTTP/1.1
//! without TLS; behind a proxy that terminates TLS, links follow `X-Forwarded-Proto` and `X-Forwarded-Host`. Tables and
//! columns are derived from the definitions in `copilot-lake-tables`. It answers the requests that the extractor sends and
//! refuses requests of other shapes with 400. Unlike in the service, rows without `$orderby` come in order of creation.
//!
//! Tokens: `POST /<tenant>/oauth2/v2.0/token` takes a secret or a client assertion;
//! `GET /metadata/identity/oauth2/token` works as on a virtual machine, `GET /msi/token` as in App Service. A token is
//! valid at the origin that it was requested for.
//!
//! Microsoft Graph is at `/v1.0` and `/beta` of the same address: users, group members, deleted users, and histories of
//! interactions with Copilot. Its tokens carry the roles of the application. Two of the mailbox folders are made up.
//!
//! Its own paths, without sign-in: `GET /_emulator/served` ([`Served`] as JSON), `GET /_emulator/rows/<table>` (key,
//! `modifiedon`, `versionnumber` and `week` of every row) and `GET /_emulator/graph/users` (every user), both as one line of
//! JSON each, and `POST /_emulator/advance` (the next phase).
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

mod control;
mod data;
mod dataverse;
mod demo_scenario;
mod emulated_clock;
mod emulated_tables;
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

pub use emulator::Emulator;
pub use error::Error;
pub use graph::tenant_report::Interaction;
pub use identity::{
    CLIENT_ID, CLIENT_ID_2, CLIENT_SECRET, CLIENT_SECRET_2, FEDERATED_TOKEN, IDENTITY_HEADER, ORGANIZATION_ID,
    TENANT_ID, USER_ID,
};
pub use scenario::definition::Scenario;
pub use served::{GraphServed, RecordedRequest, Served, TableServed};

#[cfg(test)]
mod tests;
