//! Secrets that other users of the machine can see.

use std::path::Path;

use super::effective::Config;
#[cfg(feature = "workers")]
use super::key::WORKERS_TOKEN_FILE;
use super::key::{
    CLIENT_CERTIFICATE_FILE, CLIENT_CERTIFICATE_PASSWORD_FILE, CLIENT_SECRET, CLIENT_SECRET_FILE, variable_name,
};
use super::setting::{Setting, SettingOrigin};
use super::value::ConfigValue;

/// The keys whose files are secrets.
const SECRET_FILES: &[&str] = &[
    CLIENT_SECRET_FILE.name,
    CLIENT_CERTIFICATE_FILE.name,
    CLIENT_CERTIFICATE_PASSWORD_FILE.name,
    #[cfg(feature = "workers")]
    WORKERS_TOKEN_FILE.name,
];

/// Where the options of stores are.
const LAKE_OPTIONS: &str = "lake.options.";

/// What is exposed and what to do about it, a line for each; never the secret.
pub(crate) fn exposed_secrets(config: &Config) -> Vec<String> {
    config.settings().filter_map(|(name, setting)| exposed_secret(name, setting)).collect()
}

fn exposed_secret(name: &str, setting: &Setting) -> Option<String> {
    let Setting { value, origin } = setting;
    let key = name.rsplit('.').next().unwrap_or(name);
    match (value, origin) {
        (ConfigValue::Path(path), _) if SECRET_FILES.contains(&key) => exposed_file(name, path),
        _ if is_public_option(name) => None,
        (value, SettingOrigin::Set | SettingOrigin::Flag(_)) if value.holds_secret() => {
            let instead = if key == CLIENT_SECRET.name {
                format!("set {}, or name a file in `auth.{}`", variable_name(name), CLIENT_SECRET_FILE.name)
            } else {
                format!("set {}", variable_name(name))
            };
            Some(format!("`{name}` has a secret on the command line, which other users can see; {instead}"))
        }
        (value, SettingOrigin::File { path, .. }) if value.holds_secret() && is_readable_by_others(path) => {
            Some(format!(
                "`{name}` is a secret in `{}`, which other users can read; take that right away, as by `chmod 600`",
                path.display()
            ))
        }
        _ => None,
    }
}

/// What to do about a file of a secret, which the key or the flag of this name names, if it is exposed.
pub(crate) fn exposed_file(name: &str, path: &Path) -> Option<String> {
    is_readable_by_others(path).then(|| {
        format!("`{name}`: other users can read `{}`; take that right away, as by `chmod 600`", path.display())
    })
}

/// Whether it is an option of a store that is no secret, whatever the prefix of its cloud.
fn is_public_option(name: &str) -> bool {
    let public = ["region", "endpoint", "endpoint_url", "account_name", "container_name", "bucket", "allow_http"];
    let Some(option) = name.strip_prefix(LAKE_OPTIONS) else { return false };
    let option = option.to_ascii_lowercase();
    public
        .iter()
        .any(|public| option.strip_suffix(public).is_some_and(|before| before.is_empty() || before.ends_with('_')))
}

/// Whether a mode lets users other than the owner read.
#[cfg(unix)]
const fn lets_others_read(mode: u32) -> bool {
    mode & 0o044 != 0
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| lets_others_read(file.permissions().mode()))
}

/// Elsewhere files have no such mode.
#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Sources;
    use crate::environment::Variable;

    #[test]
    fn others_are_the_group_and_everybody() {
        for (mode, lets) in [
            (0o600, false),
            (0o400, false),
            (0o611, false),
            (0o622, false),
            (0o640, true),
            (0o604, true),
            (0o644, true),
        ] {
            assert_eq!(lets_others_read(mode), lets, "{mode:o}");
        }
    }

    #[test]
    fn a_secret_is_exposed_by_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, file) = (dir.path().join("secret"), dir.path().join("lake.toml"));
        std::fs::write(&secret, "s3cret").unwrap();
        let in_file = format!("auth.client_secret_file={}", secret.display());
        let toml = "auth.client_secret = 's3cret'\nnetwork.proxy = 'http://u:s3cret@proxy'\n";
        let found = |mode: u32, toml: &str, set: &[&str], variable: Option<&str>| {
            std::fs::write(&file, toml).unwrap();
            for path in [&secret, &file] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let variables = variable
                .map(|value| Variable { name: "COPILOT_LAKE_AUTH__CLIENT_SECRET".to_owned(), value: value.to_owned() });
            let sources = Sources {
                file: Some(file.clone()),
                variables: variables.into_iter().collect(),
                set: set.iter().map(|text| (*text).to_owned()).collect(),
                flags: Vec::new(),
            };
            let lines = exposed_secrets(&Config::load(sources).unwrap());
            assert!(!lines.join("").contains("s3cret"), "{lines:?}");
            lines.iter().map(|line| line.split('`').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(found(0o600, toml, &[&in_file], None), none);
        assert_eq!(found(0o644, toml, &[], None), ["auth.client_secret", "network.proxy"]);
        assert_eq!(found(0o640, "", &[&in_file], None), ["auth.client_secret_file"]);
        assert_eq!(found(0o644, "", &[], Some("s3cret")), none, "the environment is its user's");
        assert_eq!(found(0o644, "auth.tenant_id = 't'", &["auth.client_id=c"], None), none);
        assert_eq!(found(0o600, "", &["auth.client_secret=s3cret"], None), ["auth.client_secret"]);
        assert_eq!(found(0o600, "", &["dataverse.auth.client_secret=s3cret"], None), ["dataverse.auth.client_secret"]);
        assert_eq!(found(0o600, "", &["lake.url=s3://K:s3cret@b"], None), ["lake.url"]);
        assert_eq!(found(0o600, "", &["lake.url=s3://b/lake"], None), none);
        assert_eq!(found(0o600, "", &["lake.options.key=s3cret"], None), ["lake.options.key"]);
    }
}
