//! The known name that is nearest to an unknown one.

/// The candidate that a person most likely meant; `None` only when there are none.
///
/// Names may be dotted: `lake.tenant_id` is near `auth.tenant_id`, because the last parts are equal.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &str| distance(name, candidate).min(1 + distance(last(name), last(candidate)));
    known.into_iter().min_by_key(|candidate| (score(candidate), distance(name, candidate), candidate.len()))
}

/// Whether one is likely a typing error for the other, by their last parts.
pub(crate) fn is_near(name: &str, other: &str) -> bool {
    distance(last(name), last(other)) <= 1 + last(name).len() / 4
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Edits (insert, remove, replace, swap of neighbours) that turn one into the other, letter case ignored.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["lake.url", "auth.tenant_id", "dataverse.auth.tenant_id", "dataverse.page_size", "dataverse.url"];
        let meant = |name| nearest(name, known).unwrap();
        assert_eq!(meant("lake.ulr"), "lake.url");
        assert_eq!(meant("dataverse.pagesize"), "dataverse.page_size");
        assert_eq!(meant("page_size"), "dataverse.page_size");
        assert_eq!(meant("lake.tenant_id"), "auth.tenant_id");
        assert_eq!(meant("datavers.url"), "dataverse.url");
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("ABC", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
