//! Secrets, given directly or in a file.

use anyhow::Result;

use super::effective::Config;
use super::key::ConfigKey;
use super::setting::Setting;
use super::text_file;
use super::value::ConfigValue;
use crate::problem::usage;

/// The secret of a section, else of the sections behind it: that of `direct`, or what the file of `file` holds. The setting
/// with the higher precedence wins. `None`: neither is set.
pub(super) fn text(config: &Config, section: &str, direct: &ConfigKey, file: &ConfigKey) -> Result<Option<String>> {
    for section in direct.lookup(section) {
        let in_file = config.setting_only_in(section, file);
        let secret = config.setting_only_in(section, direct);
        let take_file = match (secret, in_file) {
            (None, None) => continue,
            (Some(secret), Some(in_file)) if secret.origin.rank() == in_file.origin.rank() => {
                return Err(usage(format!(
                    "`{section}.{}` and `{section}.{}` are both set, {}",
                    direct.name, file.name, in_file.origin
                ))
                .hint("keep one of them")
                .into());
            }
            (Some(secret), Some(in_file)) => in_file.origin.rank() > secret.origin.rank(),
            (secret, _) => secret.is_none(),
        };
        match if take_file { in_file } else { secret } {
            Some(Setting { value: ConfigValue::Secret(text), .. }) => return Ok(Some(text.clone())),
            Some(Setting { value: ConfigValue::Path(path), origin }) => {
                let name = format!("{section}.{}", file.name);
                let hint = format!("put only the secret into a file that this user can read, and name it in `{name}`");
                let text = text_file::read(path, &format!("the file of `{name}`"), &format!(", {origin}"), &hint)?;
                let text = text.trim();
                if text.is_empty() {
                    return Err(usage(format!("the file of `{name}` is empty, {origin}"))
                        .hint("put only the secret into it")
                        .into());
                }
                return Ok(Some(text.to_owned()));
            }
            _ => {}
        }
    }
    Ok(None)
}
