//! Identities and the ways to sign in.

use std::path::PathBuf;

use url::Url;

use super::application::{EntraApplication, Proof};
use super::azure_cli::AzureCli;
use super::managed_identity::ManagedIdentity;
use super::secret::Secret;
use super::token_client::{TokenClient, TokenIssuer};
use super::token_response::GrantedToken;
use crate::error::Error;
use crate::http::network::Network;
use crate::http::proxy::NamedProxy;
use crate::http::retry::RetryPolicy;

/// An identity and its credential.
#[derive(Debug, Clone)]
pub struct Auth {
    /// `https://login.microsoftonline.com`, or another cloud's; for applications only.
    pub authority: Url,
    /// The directory: a GUID or a domain name. Not used for managed identities; for the Azure CLI, empty means the one
    /// it is logged in to.
    pub tenant_id: String,
    /// The application, or the user-assigned managed identity; empty means the system-assigned one. Not used for the
    /// Azure CLI.
    pub client_id: String,
    /// What proves the identity.
    pub credential: Credential,
}

/// One of the identities that share the requests to a service.
#[derive(Debug, Clone)]
pub struct NamedAuth {
    /// The section of the configuration that describes it, such as `dataverse.identity.1`.
    pub name: String,
    /// The identity and its credential.
    pub auth: Auth,
}

/// What proves an identity. Files are read at every sign-in, so they can be renewed while the program runs.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret: its value, not its id.
    Secret(Secret),
    /// A certificate uploaded to the app registration.
    Certificate {
        /// PEM: the certificate and its RSA private key (PKCS#8, PKCS#1, or encrypted PKCS#8).
        file: PathBuf,
        /// Password of an encrypted private key.
        password: Option<Secret>,
    },
    /// The identity that Azure assigned to this machine.
    ManagedIdentity {
        /// IDENTITY_ENDPOINT as set by the platform; `None`: the metadata service of virtual machines.
        endpoint: Option<Url>,
        /// IDENTITY_HEADER as set by the platform; `None`: the endpoint behaves like the metadata service.
        header: Option<Secret>,
    },
    /// A token of another issuer that the application trusts.
    WorkloadIdentity {
        /// AZURE_FEDERATED_TOKEN_FILE as set by the platform.
        token_file: PathBuf,
    },
    /// The user who ran `az login`.
    AzureCli {
        /// `az`; on Windows `az.cmd`.
        program: PathBuf,
        /// Variables of this process that it does not get.
        removed_variables: Vec<String>,
    },
}

/// An identity ready to sign in to one service.
#[derive(Debug)]
pub(crate) enum SignIn {
    /// By requesting a token over HTTP.
    Http(TokenClient),
    /// By running the Azure CLI.
    Cli(AzureCli),
}

impl SignIn {
    /// Rejects settings that cannot work, before anything is sent. Tokens are requested for this resource.
    pub(crate) fn new(auth: Auth, resource: String, network: &Network) -> Result<Self, Error> {
        let Auth { authority, tenant_id, client_id, credential } = auth;
        let proof = match credential {
            Credential::Secret(secret) => Proof::Secret(secret),
            Credential::Certificate { file, password } => Proof::Certificate { file, password },
            Credential::WorkloadIdentity { token_file } => Proof::Federated { token_file },
            Credential::ManagedIdentity { endpoint, header } => {
                let machine = ManagedIdentity::new(endpoint, header, &client_id, &resource)?;
                return Ok(Self::Http(TokenClient::new(
                    network.local_client()?,
                    NamedProxy::default(),
                    TokenIssuer::ManagedIdentity(machine),
                )));
            }
            Credential::AzureCli { program, removed_variables } => {
                return AzureCli::new(program, removed_variables, tenant_id, resource).map(Self::Cli);
            }
        };
        let app = EntraApplication::new(&authority, &tenant_id, client_id, &resource, proof)?;
        Ok(Self::Http(TokenClient::new(network.client(&app.url)?, network.named_proxy(), TokenIssuer::Entra(app))))
    }

    /// Requests a token, with at most `max_attempts` attempts.
    pub(crate) async fn token(&self, retry_policy: &RetryPolicy, max_attempts: u32) -> Result<GrantedToken, Error> {
        match self {
            Self::Http(client) => client.token(retry_policy, max_attempts).await,
            Self::Cli(cli) => cli.token().await,
        }
    }
}
