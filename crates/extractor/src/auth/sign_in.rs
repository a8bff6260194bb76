//! Identities, and the ways to sign in.

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
use crate::http::retry::RetryPolicy;

/// An identity, and what proves it.
#[derive(Debug, Clone)]
pub struct Auth {
    /// `https://login.microsoftonline.com`, or the one of another cloud; for applications.
    pub authority: Url,
    /// The directory: a GUID or a domain name. Managed identities have their own; for the Azure CLI empty means the one
    /// that it is logged in to.
    pub tenant_id: String,
    /// The application, or the user-assigned managed identity; empty means the system-assigned one. Of no use to the
    /// Azure CLI.
    pub client_id: String,
    /// What proves it.
    pub credential: Credential,
}

/// What proves an identity. Files are read for every sign-in: who renews them need not stop the program.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret: its value, not its id.
    Secret(Secret),
    /// A certificate that the app registration knows.
    Certificate {
        /// PEM: the certificate and its RSA private key (PKCS#8, PKCS#1, or encrypted PKCS#8).
        file: PathBuf,
        /// Opens an encrypted private key.
        password: Option<Secret>,
    },
    /// The identity that Azure gives this machine.
    ManagedIdentity {
        /// IDENTITY_ENDPOINT as the platform sets it; none: the metadata service of virtual machines.
        endpoint: Option<Url>,
        /// IDENTITY_HEADER as the platform sets it; none: the endpoint speaks like the metadata service.
        header: Option<Secret>,
    },
    /// A token of another issuer, which the application trusts.
    WorkloadIdentity {
        /// AZURE_FEDERATED_TOKEN_FILE as the platform sets it.
        token_file: PathBuf,
    },
    /// Whoever ran `az login`.
    AzureCli {
        /// `az`; on Windows `az.cmd`.
        program: PathBuf,
    },
}

/// An identity that is ready to sign in to one service.
#[derive(Debug)]
pub(crate) enum SignIn {
    /// By asking who gives tokens.
    Http(TokenClient),
    /// By running the Azure CLI.
    Cli(AzureCli),
}

impl SignIn {
    /// Refuses what cannot work before anything is sent. Tokens will be for the service's origin as it was configured:
    /// what the environment is registered as.
    pub(crate) fn new(auth: Auth, service: &Url, network: &Network) -> Result<Self, Error> {
        let resource = service.origin().ascii_serialization();
        let Auth { authority, tenant_id, client_id, credential } = auth;
        let proof = match credential {
            Credential::Secret(secret) => Proof::Secret(secret),
            Credential::Certificate { file, password } => Proof::Certificate { file, password },
            Credential::WorkloadIdentity { token_file } => Proof::Federated { token_file },
            Credential::ManagedIdentity { endpoint, header } => {
                let machine = ManagedIdentity::new(endpoint, header, &client_id, &resource)?;
                return Ok(Self::Http(TokenClient::new(
                    network.local_client()?,
                    TokenIssuer::ManagedIdentity(machine),
                )));
            }
            Credential::AzureCli { program } => return AzureCli::new(program, tenant_id, resource).map(Self::Cli),
        };
        let app = EntraApplication::new(&authority, &tenant_id, client_id, &resource, proof)?;
        Ok(Self::Http(TokenClient::new(network.client(&app.url)?, TokenIssuer::Entra(app))))
    }

    /// Asks for a token, at most `max_attempts` times.
    pub(crate) async fn token(&self, retry_policy: &RetryPolicy, max_attempts: u32) -> Result<GrantedToken, Error> {
        match self {
            Self::Http(client) => client.token(retry_policy, max_attempts).await,
            Self::Cli(cli) => cli.token().await,
        }
    }
}
