//! The stores of clouds, opened from a URL and options: S3 and what speaks its protocol, Azure Blob, ADLS Gen2 and OneLake,
//! Google Cloud Storage.

#![cfg_attr(
    not(any(feature = "s3", feature = "azure", feature = "gcs")),
    expect(dead_code, reason = "no store is built in")
)]

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, Certificate, ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig,
};
use url::{Host, Url};

use crate::error::Error;
use crate::storage::abandoned_uploads::AbandonedUploads;
#[cfg(feature = "s3")]
use crate::storage::s3_uploads::S3Uploads;
use crate::storage::shown_location::shown_location;
use crate::storage::store_options::StoreOptions;

/// Time for one request: a part of an upload has 8 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest pause before a request is sent again to a store that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What never goes through the configured proxy: this machine, and the services that sign in a virtual machine or a
/// container.
const NEVER_PROXIED: &str = "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2";

/// The store at a URL.
pub(crate) struct CloudStore {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// Rooted at the URL.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Below the URL.
    pub(crate) uploads: AbandonedUploads,
}

/// A store, not rooted yet, and its uploads.
type OpenedStore = (Arc<dyn ObjectStore>, AbandonedUploads);

/// Opens the store at a URL. Nothing is requested.
pub(crate) fn open(url: &Url, options: &StoreOptions) -> Result<CloudStore, Error> {
    let unsupported = |reason: String| Error::Unsupported { url: shown_location(url.as_str()), reason };
    if matches!(url.scheme(), "wasb" | "wasbs") {
        let form = "abfss://container@account.dfs.core.windows.net/lake";
        return Err(unsupported(format!("{}:// is the older name: write {form}", url.scheme())));
    }
    let has_container = matches!(url.scheme(), "abfs" | "abfss");
    if url.password().is_some() || (!url.username().is_empty() && !has_container) {
        return Err(unsupported("credentials do not belong in the URL: put them into the environment".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(unsupported("a location has neither a query nor a fragment".to_owned()));
    }
    let no_store = |_| unsupported("it is not the URL of a store that is known".to_owned());
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(no_store)?;
    let unlisted = |store| (store, AbandonedUploads::Unlisted);
    let opened = match scheme {
        ObjectStoreScheme::AmazonS3 => s3(url, &prefix, options),
        ObjectStoreScheme::MicrosoftAzure => azure(url, options).map(unlisted),
        ObjectStoreScheme::GoogleCloudStorage => gcs(url, options).map(unlisted),
        _ => return Err(unsupported(format!("a lake cannot be kept behind {}://", url.scheme()))),
    };
    let (store, uploads) = opened.map_err(|reason| unsupported(masked(reason, options)))?;
    Ok(CloudStore { url: with_slash(url), store: rooted(store, prefix), uploads })
}

/// The store below a path.
fn rooted(store: Arc<dyn ObjectStore>, prefix: Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) }
}

fn with_slash(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

#[cfg(feature = "s3")]
fn s3(url: &Url, prefix: &Path, options: &StoreOptions) -> Result<OpenedStore, String> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    let endpoints = [AmazonS3ConfigKey::Endpoint];
    let mut builder = AmazonS3Builder::from_env().with_url(url.as_str());
    for (key, value) in keys(options, |key: &AmazonS3ConfigKey| match key {
        AmazonS3ConfigKey::Client(key) => Some(*key),
        _ => None,
    })? {
        builder = builder.with_config(key, value);
    }
    let client = client(options, endpoints.iter().filter_map(|key| builder.get_config_value(key)))?;
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let builder = builder.with_client_options(client.clone()).with_retry(retry(options));
    let store = builder.build().map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    let (uploads, prefix) = (Arc::clone(&store), prefix.clone());
    Ok((store, AbandonedUploads::S3(Box::new(S3Uploads { store: uploads, region, client, prefix }))))
}

#[cfg(feature = "azure")]
fn azure(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
    for (key, value) in keys(options, |key: &AzureConfigKey| match key {
        AzureConfigKey::Client(key) => Some(*key),
        _ => None,
    })? {
        builder = builder.with_config(key, value);
    }
    let is_credential = [
        AzureConfigKey::AccessKey,
        AzureConfigKey::SasKey,
        AzureConfigKey::Token,
        AzureConfigKey::ClientId,
        AzureConfigKey::UseEmulator,
    ];
    let is_named = |key: &AzureConfigKey| builder.get_config_value(key).is_some_and(|value| value != "false");
    if let Some(credentials) = options.azure_credentials.as_ref().filter(|_| !is_credential.iter().any(is_named)) {
        builder = builder.with_credentials(Arc::clone(credentials));
    }
    let client = client(options, builder.get_config_value(&AzureConfigKey::Endpoint).into_iter())?;
    let builder = builder.with_client_options(client).with_retry(retry(options));
    builder.build().map(|store| Arc::new(store) as _).map_err(|error| error.to_string())
}

#[cfg(feature = "gcs")]
fn gcs(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, String> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
    for (key, value) in keys(options, |key: &GoogleConfigKey| match key {
        GoogleConfigKey::Client(key) => Some(*key),
        _ => None,
    })? {
        builder = builder.with_config(key, value);
    }
    let client = client(options, builder.get_config_value(&GoogleConfigKey::BaseUrl).into_iter())?;
    let builder = builder.with_client_options(client).with_retry(retry(options));
    builder.build().map(|store| Arc::new(store) as _).map_err(|error| error.to_string())
}

#[cfg(not(feature = "s3"))]
fn s3(_: &Url, _: &Path, _: &StoreOptions) -> Result<OpenedStore, String> {
    Err(not_built("s3"))
}

#[cfg(not(feature = "azure"))]
fn azure(_: &Url, _: &StoreOptions) -> Result<Arc<dyn ObjectStore>, String> {
    Err(not_built("azure"))
}

#[cfg(not(feature = "gcs"))]
fn gcs(_: &Url, _: &StoreOptions) -> Result<Arc<dyn ObjectStore>, String> {
    Err(not_built("gcs"))
}

#[cfg(not(all(feature = "s3", feature = "azure", feature = "gcs")))]
fn not_built(feature: &str) -> String {
    format!("this program was built without it: build one with `cargo build --features {feature}`")
}

/// The options as a store's own keys. How requests are sent is not among them: proxies, certificates and plain HTTP have
/// keys of their own.
fn keys<K: FromStr>(
    options: &StoreOptions,
    client: impl Fn(&K) -> Option<ClientConfigKey>,
) -> Result<Vec<(K, &String)>, String> {
    options
        .options
        .iter()
        .map(|(name, value)| match name.to_ascii_lowercase().parse::<K>() {
            Ok(key) if client(&key).is_none() => Ok((key, value)),
            Ok(_) => Err(format!("`lake.options.{name}` is not set here: [network] says how requests are sent")),
            Err(_) => Err(format!("`lake.options.{name}` is no option of this store")),
        })
        .collect()
}

/// How often, and for how long, requests are sent again.
fn retry(options: &StoreOptions) -> RetryConfig {
    let default = RetryConfig::default();
    if !options.waits_out_outages {
        return default;
    }
    let backoff = BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: usize::MAX, ..default }
}

/// How requests are sent. Plain HTTP goes to this machine only.
fn client(options: &StoreOptions, endpoints: impl Iterator<Item = String>) -> Result<ClientOptions, String> {
    let mut client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT);
    for endpoint in endpoints {
        let url = Url::parse(&endpoint).map_err(|error| format!("its endpoint is not a URL: {error}"))?;
        if url.scheme() == "http" {
            if !is_loopback(&url) {
                return Err("its endpoint is http:// and not on this machine: use https://".to_owned());
            }
            client = client.with_allow_http(true);
        }
    }
    if let Some(proxy) = &options.proxy {
        client = client.with_proxy_url(proxy.as_str()).with_proxy_excludes(NEVER_PROXIED);
    }
    if let Some(ca) = &options.ca {
        let unusable = |_| "the certificates of `network.ca_file` cannot be used".to_owned();
        for certificate in Certificate::from_pem_bundle(ca).map_err(unusable)? {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A reason without the values of options: they may be secrets.
fn masked(reason: String, options: &StoreOptions) -> String {
    // A short value may be a part of any word: it is looked for where it is quoted.
    let quoted = |value: &String| ['"', '`', '\''].map(|mark| format!("{mark}{value}{mark}"));
    options.options.values().filter(|value| !value.is_empty()).fold(reason, |reason, value| match value.len() {
        ..8 => quoted(value).iter().fold(reason, |reason, quoted| reason.replace(quoted, "***")),
        _ => reason.replace(value.as_str(), "***"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str, options: &[(&str, &str)]) -> Result<CloudStore, String> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = StoreOptions { options, ..StoreOptions::default() };
        open(&Url::parse(url).unwrap(), &options).map_err(|error| error.to_string())
    }

    /// A URL, options, and what is expected.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

    #[cfg(all(feature = "s3", feature = "azure", feature = "gcs"))]
    #[test]
    fn a_url_names_its_store() {
        let account = ("azure_storage_account_name", "account");
        let key = ("azure_storage_account_key", "c2VjcmV0");
        let cases: &[Case<'_>] = &[
            ("s3://bucket/lake", &[("aws_region", "eu-central-1")], "s3://bucket/lake/"),
            ("s3a://bucket", &[("region", "eu-central-1")], "s3a://bucket/"),
            ("az://container/a/b/", &[account, key], "az://container/a/b/"),
            (
                "abfss://files@account.dfs.core.windows.net/lake",
                &[key],
                "abfss://files@account.dfs.core.windows.net/lake/",
            ),
            (
                "abfss://work%20space@onelake.dfs.fabric.microsoft.com/sales.Lakehouse/Tables",
                &[("azure_storage_token", "t")],
                "abfss://work%20space@onelake.dfs.fabric.microsoft.com/sales.Lakehouse/Tables/",
            ),
            // A workspace and a lakehouse by their ids.
            (
                "abfss://0b0ca9f3-6f4d-4f5b-9d6f-7f1a4f6c2d11@onelake.dfs.fabric.microsoft.com/\
                 5d2e8c7a-1b3f-4e6d-8a9c-0f1e2d3c4b5a/Files",
                &[("azure_storage_token", "t")],
                "abfss://0b0ca9f3-6f4d-4f5b-9d6f-7f1a4f6c2d11@onelake.dfs.fabric.microsoft.com/\
                 5d2e8c7a-1b3f-4e6d-8a9c-0f1e2d3c4b5a/Files/",
            ),
            ("gs://bucket/lake", &[("google_skip_signature", "true")], "gs://bucket/lake/"),
        ];
        for (url, options, expected) in cases {
            let store = opened(url, options).map(|store| store.url.to_string());
            assert_eq!(store.as_deref(), Ok(*expected), "{url}");
        }
    }

    #[cfg(feature = "azure")]
    #[test]
    fn a_url_of_onelake_names_workspace_and_lakehouse() {
        let (workspace, lakehouse) = ("0b0ca9f3-6f4d-4f5b-9d6f-7f1a4f6c2d11", "5d2e8c7a-1b3f-4e6d-8a9c-0f1e2d3c4b5a");
        let host = "onelake.dfs.fabric.microsoft.com";
        let token = [("azure_storage_token", "t")];
        for place in [format!("abfss://{workspace}@{host}"), format!("https://{host}/{workspace}")] {
            let root = opened(&place, &token).map(|opened| opened.store.to_string());
            assert_eq!(root.unwrap(), format!("MicrosoftAzure {{ account: onelake, container: {workspace} }}"));
            let below = opened(&format!("{place}/{lakehouse}/Files/lake"), &token);
            assert_eq!(below.unwrap().store.to_string(), format!("PrefixObjectStore({lakehouse}/Files/lake)"));
        }
    }

    #[cfg(not(all(feature = "s3", feature = "azure", feature = "gcs")))]
    #[test]
    fn a_url_without_its_feature_says_which_to_build_with() {
        let cases = [
            ("s3://bucket/lake", "s3", cfg!(feature = "s3")),
            ("az://container/lake", "azure", cfg!(feature = "azure")),
            ("abfss://files@account.dfs.core.windows.net/lake", "azure", cfg!(feature = "azure")),
            ("gs://bucket/lake", "gcs", cfg!(feature = "gcs")),
        ];
        for (url, feature, _) in cases.into_iter().filter(|(.., is_built)| !is_built) {
            let build = format!("this program was built without it: build one with `cargo build --features {feature}`");
            let error = opened(url, &[]).map(|opened| opened.url);
            assert_eq!(error, Err(format!("no lake can be opened at {url}: {build}")));
        }
    }

    #[cfg(all(feature = "s3", feature = "azure", feature = "gcs"))]
    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        let cases: &[Case<'_>] = &[
            ("s3://KEY:SECRET@bucket/lake", &[], "s3://***@bucket/lake: credentials do not belong in the URL"),
            ("az://container/lake?sig=SECRET", &[], "az://container/lake?***: a location has neither"),
            ("ftp://host/lake", &[], "ftp://host/lake: it is not the URL of a store"),
            ("wasbs://c@a.blob.core.windows.net/lake", &[], "wasbs:// is the older name: write abfss://container@"),
            ("wasb://KEY:SECRET@host/lake", &[], "wasb://***@host/lake: wasb:// is the older name"),
            ("s3://bucket", &[("aws_secret", "SECRET")], "`lake.options.aws_secret` is no option of this store"),
            ("s3://bucket", &[("allow_http", "true")], "[network] says how requests are sent"),
            ("s3://bucket", &[("endpoint", "http://minio.example:9000")], "not on this machine"),
            ("az://container", &[("azure_storage_account_key", "SECRET")], "az://container"),
        ];
        for (url, options, expected) in cases {
            let error = opened(url, options).err().unwrap();
            assert!(error.contains(expected) && !error.contains("SECRET"), "{url}: {error}");
        }
        for endpoint in ["http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000", "https://minio.example"]
        {
            assert!(opened("s3://bucket", &[("endpoint", endpoint)]).is_ok(), "{endpoint}");
        }
    }
}
