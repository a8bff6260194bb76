//! The selection of a history, as the ledger has it.

use std::collections::BTreeSet;
use std::fmt;

use copilot_lake_tables::Instant;

/// What is read of a history: from when on, and which app classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistorySelection {
    /// The start of the gapless chain of windows.
    pub(crate) since: Instant,
    /// All when empty.
    pub(crate) app_classes: BTreeSet<String>,
}

const SINCE: &str = "since=";

impl HistorySelection {
    /// Reads what [`fmt::Display`] wrote; `None` for other texts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let since = Instant::parse(parts.next()?.strip_prefix(SINCE)?)?;
        Some(Self { since, app_classes: parts.map(str::to_owned).collect() })
    }

    /// Whether this selection has everything that `present` has.
    pub(crate) fn covers(&self, present: &Self) -> bool {
        let all = self.app_classes.is_empty();
        let classes = all || (!present.app_classes.is_empty() && present.app_classes.is_subset(&self.app_classes));
        self.since <= present.since && classes
    }
}

impl fmt::Display for HistorySelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SINCE}{}", self.since)?;
        self.app_classes.iter().try_for_each(|class| write!(f, ",{class}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(since: &str, classes: &[&str]) -> HistorySelection {
        let app_classes = classes.iter().map(|class| (*class).to_owned()).collect();
        HistorySelection { since: Instant::parse(since).unwrap(), app_classes }
    }

    #[test]
    fn is_read_as_it_was_written() {
        for selection in [selection("2025-01-01", &[]), selection("2025-01-01T10:00:00Z", &["A.Word", "A.Excel"])] {
            assert_eq!(HistorySelection::parse(&selection.to_string()), Some(selection));
        }
        assert_eq!(selection("2025-01-01", &["B", "A"]).to_string(), "since=2025-01-01T00:00:00Z,A,B");
        assert_eq!(HistorySelection::parse("msdyn_copiloteventid,createdon"), None);
    }

    #[test]
    fn more_covers_less() {
        let all = selection("2025-01-01", &[]);
        let word = selection("2025-01-01", &["Word"]);
        assert!(all.covers(&all) && all.covers(&word) && word.covers(&word));
        assert!(!word.covers(&all), "other classes are missing");
        assert!(!word.covers(&selection("2025-01-01", &["Word", "Excel"])));
        assert!(!all.covers(&selection("2024-12-31", &[])), "earlier history is missing");
        assert!(all.covers(&selection("2025-02-01", &[])));
    }
}
