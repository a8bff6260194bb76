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
//! `GET /_emulator/served` ([`Served`] as JSON), `GET /_emulator/requests` ([`Request`] per line),
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
mod graph;
mod http;
mod route;
mod scenario;
mod served;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use emulator::Emulator;
pub use graph::report::{GraphServed, Interaction};
pub use route::Kind;
pub use scenario::definition::Scenario;
pub use served::{Request, Served, TableServed};

/// The only tenant.
pub const TENANT_ID: &str = "11111111-1111-1111-1111-111111111111";
/// The application that is signed in.
pub const CLIENT_ID: &str = "22222222-2222-2222-2222-222222222222";
/// Its secret. Not secret: the emulator is for trying and testing.
pub const CLIENT_SECRET: &str = "emulator-secret";
/// Another application, for those that have one per service.
pub const CLIENT_ID_2: &str = "77777777-7777-7777-7777-777777777777";
/// Its secret.
pub const CLIENT_SECRET_2: &str = "emulator-secret-2";
/// A token of a foreign issuer that is accepted instead of a secret, by every application.
pub const FEDERATED_TOKEN: &str = "emulator-federated-token";
/// What App Service gives its programs to send as `X-IDENTITY-HEADER`.
pub const IDENTITY_HEADER: &str = "emulator-identity-header";
/// The user that both applications are, as `WhoAmI` names it.
pub const USER_ID: &str = "33333333-3333-3333-3333-333333333333";
/// The business unit that `WhoAmI` names.
pub(crate) const UNIT_ID: &str = "55555555-5555-5555-5555-555555555555";
/// The organization that `WhoAmI` names.
pub const ORGANIZATION_ID: &str = "66666666-6666-6666-6666-666666666666";

/// What keeps an emulator from starting or advancing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario is wrong: change it.
    #[error("scenario: {0}")]
    Scenario(String),
    /// A file that the scenario names, or the scenario itself, cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on: choose another.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    fn scenario(what: impl Into<String>) -> Self {
        Self::Scenario(what.into())
    }
}

#[cfg(test)]
mod tests;
