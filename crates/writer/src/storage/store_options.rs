//! How the stores of clouds are reached.

use std::collections::BTreeMap;
use std::fmt;

use object_store::ObjectStoreScheme;
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
    /// Whether requests are sent again for three minutes while the store does not answer, as it has before. Otherwise ten
    /// times.
    pub waits_out_outages: bool,
}

impl StoreOptions {
    /// As these, for a store that has answered: it is configured well, so when it cannot be reached, that may pass.
    #[must_use]
    pub fn answered(&self) -> Self {
        Self { waits_out_outages: true, ..self.clone() }
    }

    /// How the store of another URL than the lake's is reached: options are of a kind of store, and those of a lake in
    /// another kind say nothing of it.
    #[must_use]
    pub fn for_url(&self, lake: &str, other: &str) -> Self {
        let kind = |url: &str| Url::parse(url).ok().and_then(|url| Some(ObjectStoreScheme::parse(&url).ok()?.0));
        let is_known = kind(lake).is_none_or(|lake| {
            matches!(lake, ObjectStoreScheme::Local | ObjectStoreScheme::Memory) || Some(lake) == kind(other)
        });
        let mut options = self.clone();
        if !is_known {
            options.options.clear();
        }
        options
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_struct("StoreOptions").field("options", &self.options.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_lake_are_for_stores_of_its_kind() {
        let options = BTreeMap::from([("aws_region".to_owned(), "eu-central-1".to_owned())]);
        let options = StoreOptions { options, ..StoreOptions::default() };
        let cases = [
            ("s3://bucket/lake", "s3://other/file.csv", true),
            ("s3a://bucket/lake", "s3://other/file.csv", true),
            ("./lake", "s3://other/file.csv", true),
            ("file:///lake", "s3://other/file.csv", true),
            ("az://container/lake", "abfss://files@account.dfs.core.windows.net/file.csv", true),
            ("az://container/lake", "s3://other/file.csv", false),
            ("s3://bucket/lake", "gs://other/file.csv", false),
        ];
        for (lake, other, are_kept) in cases {
            assert_eq!(!options.for_url(lake, other).options.is_empty(), are_kept, "{lake} {other}");
        }
    }
}
