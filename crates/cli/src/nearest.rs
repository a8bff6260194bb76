//! The known name that is nearest to an unknown one.

/// The least length of the beginning of a name that stands for it.
const BEGINNING: usize = 3;

/// The candidate that a person most likely meant; `None` only when there are none.
///
/// Names may be dotted: `lake.tenant_id` is near `auth.tenant_id`, because the last parts are equal.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &str| {
        let edits = distance(name, candidate).min(1 + distance(last(name), last(candidate)));
        if begins(name, candidate) { edits.min(2) } else { edits }
    };
    known.into_iter().min_by_key(|candidate| (score(candidate), distance(name, candidate), candidate.len()))
}

/// The candidate that a person meant, if one is likely the name without a typing error, or begins with the name.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(name, known).filter(|candidate| is_near(name, candidate) || begins(name, candidate))
}

/// Whether one is likely a typing error for the other, by their last parts.
pub(crate) fn is_near(name: &str, other: &str) -> bool {
    distance(last(name), last(other)) <= 1 + last(name).len() / 4
}

/// The hint for an unknown name of something, such as a `column`: the near one, or else how to find it.
pub(crate) fn hint<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    near(name, known).map_or_else(otherwise, |near| format!("the nearest {what} is `{near}`"))
}

/// Whether the last part of a name is the beginning of the other's.
fn begins(name: &str, other: &str) -> bool {
    let name = last(name).to_lowercase();
    name.len() >= BEGINNING && last(other).to_lowercase().starts_with(&name)
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
    fn a_beginning_stands_for_the_name_and_what_is_far_is_not_offered() {
        let known = ["t.net_rate", "t.net_positive_rate", "t.net_positive_rate_before", "t.up"];
        for (name, meant) in [
            ("net_positive", Some("t.net_positive_rate")),
            ("T.NET_POSITIVE", Some("t.net_positive_rate")),
            ("net_positve_rate", Some("t.net_positive_rate")),
            ("ne", None),
            ("nothing", None),
        ] {
            assert_eq!(near(name, known), meant, "{name}");
        }
        let hint = |name| hint("column", name, known, || "look".to_owned());
        assert_eq!([hint("net_rates"), hint("nothing")], ["the nearest column is `t.net_rate`", "look"]);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("ABC", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
