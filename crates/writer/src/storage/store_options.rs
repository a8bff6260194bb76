//! How the stores of clouds are reached.

use std::collections::BTreeMap;
use std::fmt;

#[cfg(feature = "azure")]
use object_store::azure::AzureCredentialProvider;
use url::Url;

/// How the store of a cloud is reached. A local folder needs none of it.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// Options by name, as `object_store` names them, such as `aws_region`. They win over the cloud's own environment
    /// variables.
    pub options: BTreeMap<String, String>,
    /// The proxy; else the environment says.
    pub proxy: Option<Url>,
    /// Certificates in PEM that are trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    /// Signs in to Azure and OneLake when no option says how.
    #[cfg(feature = "azure")]
    pub azure_credentials: Option<AzureCredentialProvider>,
    /// Whether the lake is written although the store cannot keep two writers apart.
    pub single_writer: bool,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_struct("StoreOptions").field("options", &self.options.keys()).finish_non_exhaustive()
    }
}
