//! How the lake's store is reached: options, the network, and the identity for Azure.

use anyhow::Result;
use copilot_lake_writer::StoreOptions;

use super::effective::Config;
use super::key::SINGLE_WRITER;
use super::network::network;
use super::setting::Setting;
use super::value::ConfigValue;

/// The section whose keys are the store's own options.
const OPTIONS: &str = "lake.options.";

/// How the lake's store is reached.
pub(super) fn options(config: &Config) -> Result<StoreOptions> {
    let network = network(config)?;
    let option = |(name, setting): (&str, &Setting)| match (name.strip_prefix(OPTIONS), &setting.value) {
        (Some(name), ConfigValue::Secret(text)) => Some((name.to_owned(), text.clone())),
        _ => None,
    };
    Ok(StoreOptions {
        options: config.settings().filter_map(option).collect(),
        single_writer: matches!(
            config.setting(&SINGLE_WRITER),
            Some(Setting { value: ConfigValue::Boolean(true), .. })
        ),
        #[cfg(feature = "azure")]
        azure_credentials: azure_credentials(config, &network)?,
        proxy: network.proxy,
        // A run sets it once the store has answered.
        waits_out_outages: false,
        ca: network.ca,
    })
}

/// The identity of `[lake.auth]`, else of `[auth]`; `None` if neither names one.
#[cfg(feature = "azure")]
fn azure_credentials(
    config: &Config,
    network: &copilot_lake_extractor::Network,
) -> Result<Option<copilot_lake_writer::AzureCredentialProvider>> {
    const LAKE_AUTH: &str = "lake.auth";
    if !config.mentions("auth") && !config.mentions(LAKE_AUTH) {
        return Ok(None);
    }
    let auth = super::sign_in::auth(config, LAKE_AUTH)?;
    let identity = copilot_lake_extractor::StoreIdentity::new(auth, network)?;
    Ok(Some(std::sync::Arc::new(AzureIdentity(identity))))
}

/// The configured identity as the store asks for it.
#[cfg(feature = "azure")]
#[derive(Debug)]
struct AzureIdentity(copilot_lake_extractor::StoreIdentity);

#[cfg(feature = "azure")]
#[async_trait::async_trait]
impl object_store::CredentialProvider for AzureIdentity {
    type Credential = object_store::azure::AzureCredential;

    async fn get_credential(&self) -> object_store::Result<std::sync::Arc<Self::Credential>> {
        match self.0.token().await {
            Ok(token) => Ok(std::sync::Arc::new(object_store::azure::AzureCredential::BearerToken(token))),
            Err(error) => Err(object_store::Error::Generic { store: "sign-in", source: error.into() }),
        }
    }
}
