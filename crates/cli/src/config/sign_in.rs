//! The configured sign-in: an identity and its credential.

use std::path::PathBuf;

use anyhow::Result;
use copilot_lake_extractor::{Auth, Credential, NamedAuth, Secret};
use copilot_lake_tables::is_guid;

use super::effective::Config;
use super::key::{
    self, AUTHORITY, CLIENT_CERTIFICATE_FILE, CLIENT_CERTIFICATE_PASSWORD_FILE, CLIENT_ID, CLIENT_SECRET,
    CLIENT_SECRET_FILE, ConfigKey, METHOD, TENANT_ID, variable_name,
};
use super::required::{text, url};
use super::secret;
use super::setting::Setting;
use super::text_file;
use super::value::ConfigValue;
use crate::environment;
use crate::problem::usage;

/// The identities of a list, which share the requests to a service with the one of `[auth]`.
pub(super) fn more(config: &Config, list: &str, first: &Auth) -> Result<Vec<NamedAuth>> {
    let mut more: Vec<NamedAuth> = Vec::new();
    for name in config.entries(list) {
        let auth = auth(config, &name)?;
        let is_same = |other: &Auth| {
            other.client_id.eq_ignore_ascii_case(&auth.client_id)
                && (!auth.client_id.is_empty()
                    || std::mem::discriminant(&other.credential) == std::mem::discriminant(&auth.credential))
        };
        let mut others =
            std::iter::once(("auth", first)).chain(more.iter().map(|other| (other.name.as_str(), &other.auth)));
        if let Some((other, _)) = others.find(|(_, other)| is_same(other)) {
            return Err(usage(format!("`{name}` is the same identity as `{other}`"))
                .hint("the service counts the requests of each identity: name another application in `client_id`")
                .into());
        }
        let are_known = !auth.tenant_id.is_empty() && !first.tenant_id.is_empty();
        // A tenant has an id and a domain: which belong together is known when they have signed in.
        let are_alike = is_guid(&auth.tenant_id) == is_guid(&first.tenant_id);
        if are_known && are_alike && !auth.tenant_id.eq_ignore_ascii_case(&first.tenant_id) {
            return Err(usage(format!("`{name}.tenant_id` names another tenant than that of `auth`"))
                .hint(format!("all identities of `{list}` read the same tenant: leave the key out"))
                .into());
        }
        more.push(NamedAuth { name, auth });
    }
    Ok(more)
}

/// The identity for a service: from its own section, else from `[auth]`.
pub(super) fn auth(config: &Config, section: &str) -> Result<Auth> {
    let optional = |key| text(config, section, key).unwrap_or_default();
    let authority = url(config, section, &AUTHORITY)?;
    let method = optional(&METHOD);
    let of_application = matches!(method.as_str(), "client-secret" | "client-certificate" | "workload-identity");
    let platform = environment::platform_identity();
    // What the platform provides counts where the configuration is silent.
    let named = |key, by_platform: Option<String>| match (text(config, section, key), by_platform) {
        (Ok(text), _) => Ok(text),
        (Err(_), Some(text)) if method == "workload-identity" => Ok(text),
        (Err(missing), _) if of_application => Err(missing),
        (Err(_), _) => Ok(String::new()),
    };
    let tenant_id = named(&TENANT_ID, platform.tenant_id)?;
    let client_id = named(&CLIENT_ID, platform.client_id)?;
    let credential = match method.as_str() {
        "client-certificate" => Credential::Certificate {
            file: path(config, section, &CLIENT_CERTIFICATE_FILE)?.ok_or_else(|| {
                usage(format!("`{}.client_certificate_file` is not set", shared(section)))
                    .hint("name a PEM file with certificate and private key")
            })?,
            password: path(config, section, &CLIENT_CERTIFICATE_PASSWORD_FILE)?
                .map(|path| secret_of(&path, "auth.client_certificate_password_file"))
                .transpose()?,
        },
        "managed-identity" => {
            let endpoint = platform.endpoint.map(|text| text.parse()).transpose();
            let endpoint = endpoint.map_err(|_| {
                usage("the environment variable `IDENTITY_ENDPOINT` is not a URL")
                    .hint("the platform sets it; unset it elsewhere")
            })?;
            Credential::ManagedIdentity { endpoint, header: platform.header.map(Secret::new) }
        }
        "workload-identity" => Credential::WorkloadIdentity {
            token_file: platform.token_file.ok_or_else(|| {
                usage("the environment variable `AZURE_FEDERATED_TOKEN_FILE` is not set")
                    .hint("the platform sets it where workload identity federation is enabled for the pod or job")
            })?,
        },
        "azure-cli" => Credential::AzureCli {
            program: PathBuf::from(if cfg!(windows) { "az.cmd" } else { "az" }),
            removed_variables: environment::variable_names(),
        },
        _ => Credential::Secret(client_secret(config, section)?),
    };
    Ok(Auth { authority, tenant_id, client_id, credential })
}

fn path(config: &Config, section: &str, key: &ConfigKey) -> Result<Option<PathBuf>> {
    match config.setting_in(section, key) {
        Some(Setting { value: ConfigValue::Path(path), .. }) => Ok(Some(path)),
        _ => Ok(None),
    }
}

fn secret_of(path: &std::path::Path, name: &str) -> Result<Secret> {
    let hint = "name a file that this user can read and that holds nothing else";
    let text = text_file::read(path, &format!("the file of `{name}`"), "", hint)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// The section in which most would set a key: `[auth]`, unless the identity is one of several.
fn shared(section: &str) -> &str {
    if key::entry(section).is_some() { section } else { "auth" }
}

/// The application's secret.
fn client_secret(config: &Config, section: &str) -> Result<Secret> {
    if let Some(text) = secret::text(config, section, &CLIENT_SECRET, &CLIENT_SECRET_FILE)? {
        return Ok(Secret::new(text));
    }
    let named = format!("{}.client_secret", shared(section));
    Err(usage(format!("`{named}` is not set"))
        .hint(format!("set {}, or name the file that holds it in {named}_file", variable_name(&named)))
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::environment::Variable;

    const SECRET: &str = "auth.client_secret=s3cret";

    fn config(set: &[&str]) -> Config {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        Config::load(Sources { set, ..Sources::default() }).unwrap()
    }

    #[test]
    fn a_method_asks_for_what_it_needs_and_nothing_else() {
        let auth = |set: &[&str]| auth(&config(set), "dataverse.auth");
        let cli = auth(&["auth.method=azure-cli"]).unwrap();
        assert!(matches!(cli.credential, Credential::AzureCli { .. }) && cli.tenant_id.is_empty());
        assert!(matches!(
            auth(&["auth.method=managed-identity"]).unwrap().credential,
            Credential::ManagedIdentity { .. }
        ));
        let message = |set: &[&str]| crate::exit::problem(&auth(set).unwrap_err()).message;
        let app = ["auth.tenant_id=t", "auth.client_id=c", "auth.method=client-certificate"];
        assert_eq!(message(&app), "`auth.client_certificate_file` is not set");
        assert!(message(&["auth.method=client-certificate"]).starts_with("`auth.tenant_id` is not set"));
        let own = ["auth.method=azure-cli", "dataverse.auth.method=client-secret", app[0], app[1], SECRET];
        assert!(matches!(auth(&own).unwrap().credential, Credential::Secret(_)), "the service's own section counts");
    }

    #[test]
    fn the_secret_comes_from_the_source_with_precedence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "of-the-file\n").unwrap();
        let file = format!("auth.client_secret_file={}", path.display());
        let both = crate::exit::problem(&client_secret(&config(&[&file, SECRET]), "dataverse.auth").unwrap_err());
        assert!(both.message.contains("are both set") && !both.message.contains("s3cret"));

        let name = "COPILOT_LAKE_AUTH__CLIENT_SECRET".to_owned();
        let variables = vec![Variable { name, value: "of-the-environment".to_owned() }];
        let sources = Sources { variables, set: vec![file], ..Sources::default() };
        let secret = client_secret(&Config::load(sources).unwrap(), "dataverse.auth").unwrap();
        assert!(secret == Secret::new("of-the-file"));
        std::fs::write(&path, "\u{feff}of-the-editor\r\n").unwrap();
        let marked =
            client_secret(&config(&[&format!("auth.client_secret_file={}", path.display())]), "dataverse.auth");
        assert!(marked.unwrap() == Secret::new("of-the-editor"));
        let password = secret_of(&path, "auth.client_certificate_password_file").unwrap();
        assert!(password == Secret::new("of-the-editor"));
        std::fs::write(&path, "s3cret".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
        let utf_16 = config(&[&format!("auth.client_secret_file={}", path.display())]);
        let problem = crate::exit::problem(&client_secret(&utf_16, "dataverse.auth").unwrap_err());
        let named = format!("the file of `auth.client_secret_file`, `{}`, is UTF-16, --set", path.display());
        assert_eq!(problem.message, named);
        assert!(problem.hint.unwrap().starts_with("save it as UTF-8"));
        std::fs::remove_file(&path).unwrap();
        let gone = config(&[&format!("auth.client_secret_file={}", path.display())]);
        assert!(
            crate::exit::problem(&client_secret(&gone, "dataverse.auth").unwrap_err()).message.contains("cannot read")
        );
    }
}
