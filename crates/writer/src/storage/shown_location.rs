//! Locations as messages show them: without what may be a secret.

/// A location as messages show it: a path as it is, a URL without what may be a secret, which is user information, query
/// and fragment.
pub fn shown_location(location: &str) -> String {
    if is_connection_string(location) {
        return "***".to_owned();
    }
    let Some((scheme, rest)) = location.split_once("://") else { return location.to_owned() };
    let cut = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, query) = rest.split_at(cut);
    let query = if query.is_empty() { String::new() } else { format!("{}***", &query[..1]) };
    // A secret may contain slashes that nobody encoded: all before the last `@` counts. That of a path hides more than it
    // must.
    let place = match place.rsplit_once('@') {
        Some((container, host)) if has_container(scheme) && !container.contains([':', '/', '@']) => {
            format!("{container}@{host}")
        }
        Some((_, host)) => format!("***@{host}"),
        None => place.to_owned(),
    };
    format!("{scheme}://{place}{query}")
}

/// Whether a text is one with which Azure's tools find an account: it holds a key, and is neither a path nor a URL.
pub(crate) fn is_connection_string(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["accountkey=", "sharedaccesssignature=", "sharedaccesskey="].iter().any(|part| text.contains(part))
}

/// Whether the user of a URL of this scheme is the name of a container.
fn has_container(scheme: &str) -> bool {
    ["abfs", "abfss", "wasb", "wasbs"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}
