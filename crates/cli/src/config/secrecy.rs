//! Which texts a message repeats: a secret may have been given to the wrong key or flag.

use copilot_lake_tables::is_guid;

/// What stands for a text that is not shown.
pub(crate) const MASK: &str = "***";

/// Shorter texts are shown: no secret that a service issues is as short.
const SHORT: usize = 8;

/// Whether a text may be a secret: it is long, and neither words, numbers, a time, an id, nor a principal name.
pub(crate) fn could_be_secret(text: &str) -> bool {
    let text = text.trim();
    let plain = text.strip_prefix("group:").unwrap_or(text);
    let is_word = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.' | '-' | ' ');
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | 'T' | 'Z' | '+' | ' ');
    let is_known =
        is_guid(plain) || is_principal_name(text) || text.chars().all(is_word) || text.chars().all(is_number);
    text.chars().count() >= SHORT && !is_known
}

/// Whether a text looks like `somebody@contoso.example`.
fn is_principal_name(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '#' | '\'');
    let is_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    !name.is_empty() && name.chars().all(is_name) && domain.contains('.') && domain.chars().all(is_domain)
}

/// The text, or [`MASK`] if it may be a secret.
pub(crate) fn masked(text: &str) -> &str {
    // The name of a flag is what a message is about.
    if !text.starts_with("--") && could_be_secret(text) { MASK } else { text }
}

/// `` `text` `` after a blank, for the end of a message; nothing if it may be a secret.
pub(crate) fn quoted(text: &str) -> String {
    if could_be_secret(text) { String::new() } else { format!(" `{text}`") }
}

/// `` , but is `text` ``, for the end of a message; nothing if it may be a secret.
pub(crate) fn but_is(text: &str) -> String {
    match text {
        "" => ", but is empty".to_owned(),
        text if could_be_secret(text) => String::new(),
        text => format!(", but is `{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_told_from_what_people_mistype() {
        for text in [
            "s3cret-of-the-application",
            "hZ38Q~abcdefghijklmnopqrstuvwxyz.01234",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "c2VjcmV0IG9mIG1pbmU=",
            "https//u:s3cret@x",
            "user:pass@host.example",
            "deadbeef0123456789",
            "Correct Horse Battery",
            "sv=2022-11-02&sig=abc",
        ] {
            assert!(could_be_secret(text), "{text}");
            assert_eq!((masked(text), quoted(text), but_is(text)), (MASK, String::new(), String::new()));
        }
        for text in [
            "",
            "9000",
            "yes",
            "1 hour",
            "yesterday",
            "client-secrets",
            "msdyn_copilotevents",
            "dataverse.page_sise",
            "2025-13-01",
            "2025-06-22T09:00:00",
            "11111111-2222-3333-4444-555555555555",
            "group:11111111-2222-3333-4444-555555555555",
            "Bob.B@contoso.example",
            "contoso.onmicrosoft.com",
        ] {
            assert!(!could_be_secret(text), "{text}");
        }
        assert_eq!(
            (quoted("yes"), but_is("yes"), but_is("")),
            (" `yes`".into(), ", but is `yes`".into(), ", but is empty".into())
        );
    }
}
