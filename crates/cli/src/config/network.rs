//! How services, sign-in and stores are reached.

use anyhow::Result;
use copilot_lake_extractor::{Network, ProxyVariable};

use super::effective::Config;
use super::key::{CA_FILE, PROXY};
use super::setting::Setting;
use super::text_file;
use super::value::ConfigValue;
use crate::environment::{self, Variable};

/// How services, sign-in and stores are reached.
pub(super) fn network(config: &Config) -> Result<Network> {
    let proxy = match config.setting(&PROXY) {
        Some(Setting { value: ConfigValue::Url(url), .. }) => Some(url),
        _ => None,
    };
    let ca = match config.setting(&CA_FILE) {
        Some(Setting { value: ConfigValue::Path(path), origin }) => {
            let hint = "name a PEM file that this user can read, or remove the key";
            Some(text_file::read_pem(&path, "the file of `network.ca_file`", &format!(", {origin}"), hint)?)
        }
        _ => None,
    };
    let variable = environment::proxy_variable().map(|Variable { name, value }| ProxyVariable { name, value });
    Ok(Network { proxy, ca, variable })
}
