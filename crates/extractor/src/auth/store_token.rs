//! Tokens for Azure Storage and OneLake, of the same identities that sign in to the services.

use super::sign_in::{Auth, SignIn};
use super::token_cache::TokenCache;
use crate::error::Error;
use crate::http::network::Network;
use crate::http::retry::RetryPolicy;

/// The resource that Azure Storage and OneLake share, whatever the account.
const AZURE_STORAGE: &str = "https://storage.azure.com";

/// An identity at Azure Storage and OneLake.
#[derive(Debug)]
pub struct StoreIdentity(TokenCache);

impl StoreIdentity {
    /// Nothing is requested yet.
    pub fn new(auth: Auth, network: &Network) -> Result<Self, Error> {
        let sign_in = SignIn::new(auth, AZURE_STORAGE.to_owned(), network)?;
        Ok(Self(TokenCache::new(sign_in, RetryPolicy::documented())))
    }

    /// An access token: the cached one while it is fresh.
    pub async fn token(&self) -> Result<String, Error> {
        self.0.get().await.map(|token| token.text().to_owned())
    }
}
