//! Which texts a message repeats: a secret may have been given to the wrong key or flag.

use copilot_lake_tables::is_guid;

/// What stands for a text that is not shown.
pub(crate) const MASK: &str = "***";

/// Shorter texts are shown: no secret that a service issues is as short.
const SHORT: usize = 8;

/// Longer texts say nothing in a message.
const LONG: usize = 80;

/// Whether a text may be a secret: it is long, and neither words, numbers, a time, an id, nor a principal name.
pub(crate) fn could_be_secret(text: &str) -> bool {
    let text = text.trim();
    let plain = text.strip_prefix("group:").unwrap_or(text);
    let is_known = is_guid(plain) || is_principal_name(text) || is_words(text) || is_numbers(text);
    text.chars().count() >= SHORT && !is_known
}

/// Whether a text is of lower-case words, as keys and the words of settings are.
fn is_words(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.' | '-' | ' '))
}

/// Whether a text is of numbers or a time.
fn is_numbers(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | 'T' | 'Z' | '+' | ' '))
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

/// `` `name` `` after a blank, for a key that is not known; nothing if it may be a secret, however short.
pub(crate) fn quoted_key(name: &str) -> String {
    if is_words(name) { format!(" `{name}`") } else { String::new() }
}

/// `` , but is `text` `` about an invalid value of the configuration. A secret may have been given to any key, and may be
/// short: only words and numbers are repeated, and nothing that was given to a key `of_secret`.
pub(crate) fn but_is_value(text: &str, of_secret: bool) -> String {
    let is_repeated = text.is_empty() || (!of_secret && text.len() <= LONG && (is_words(text) || is_numbers(text)));
    if is_repeated { but_is(text) } else { String::new() }
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

    #[test]
    fn of_invalid_values_only_words_and_numbers_are_repeated_and_none_of_a_secret() {
        for text in ["zQ7~x", "hunter2", "A", "s3", "1 hour", "a@b.example", "f9d841e5-0000-4000-8000-00000000beef"] {
            assert_eq!((but_is_value(text, false), but_is_value(text, true)), (String::new(), String::new()), "{text}");
            assert_eq!(quoted_key(text), "");
        }
        for text in ["yes", "9000", "2025-13-01", "client-secrets"] {
            assert_eq!(but_is_value(text, false), format!(", but is `{text}`"));
            assert_eq!(but_is_value(text, true), "");
        }
        assert_eq!(
            (but_is_value("", true), but_is_value(&"a".repeat(81), false)),
            (", but is empty".into(), "".into())
        );
        assert_eq!((quoted_key("lake.ulr"), quoted_key("lake.Zq7")), (" `lake.ulr`".into(), "".into()));
    }
}
