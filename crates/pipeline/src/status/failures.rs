//! Failures that are open, grouped by their reasons. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use copilot_lake_tables::Instant;

use super::lake_status::{FailureGroup, OpenFailures};
use crate::report::SliceStatus;

/// The most reasons that are told apart.
const REASONS: usize = 256;
/// What further reasons are called.
const OTHER: &str = "other reasons";
/// The most groups that a table names.
const GROUPS: usize = 5;

/// Texts of reasons, each kept once.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    texts: Vec<String>,
    ids: HashMap<String, ReasonId>,
}

/// A reason among [`Reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReasonId(u16);

impl Reasons {
    /// The id of a reason, without the request that failed: many slices have the rest in common.
    pub(super) fn id(&mut self, reason: &str) -> ReasonId {
        let known = reason.split(" (GET ").next().unwrap_or_default();
        let known = if self.texts.len() < REASONS || self.ids.contains_key(known) { known } else { OTHER };
        if let Some(id) = self.ids.get(known) {
            return *id;
        }
        let id = ReasonId(self.texts.len() as u16);
        self.texts.push(known.to_owned());
        self.ids.insert(known.to_owned(), id);
        id
    }

    fn text(&self, id: ReasonId) -> String {
        self.texts.get(usize::from(id.0)).cloned().unwrap_or_default()
    }
}

/// Open failures, by how they ended and why.
#[derive(Debug, Default)]
pub(super) struct FailureCounts(BTreeMap<(SliceStatus, ReasonId), FailureCount>);

#[derive(Debug)]
struct FailureCount {
    slices: u64,
    window: Range<Instant>,
    last_failed_at: Instant,
}

impl FailureCounts {
    /// Counts a slice that failed or was skipped.
    pub(super) fn add(&mut self, status: SliceStatus, reason: ReasonId, window: Range<Instant>, finished_at: Instant) {
        let new = || FailureCount { slices: 0, window: window.clone(), last_failed_at: finished_at };
        let count = self.0.entry((status, reason)).or_insert_with(new);
        count.slices += 1;
        count.window = count.window.start.min(window.start)..count.window.end.max(window.end);
        count.last_failed_at = count.last_failed_at.max(finished_at);
    }

    /// The counts, and the groups with the most slices.
    pub(super) fn finish(self, reasons: &Reasons) -> OpenFailures {
        let slices = |status| self.0.iter().filter(|((of, _), _)| *of == status).map(|(_, count)| count.slices).sum();
        let (failed, skipped) = (slices(SliceStatus::Failed), slices(SliceStatus::Skipped));
        let group = |((status, reason), count): ((SliceStatus, ReasonId), FailureCount)| FailureGroup {
            status,
            reason: reasons.text(reason),
            slices: count.slices,
            window_start: count.window.start,
            window_end: count.window.end,
            last_failed_at: count.last_failed_at,
        };
        let mut groups: Vec<_> = self.0.into_iter().map(group).collect();
        // What failed comes first: it is requested again.
        groups.sort_by_key(|group| (group.status, Reverse(group.slices)));
        groups.truncate(GROUPS);
        OpenFailures { failed, skipped, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_without_their_requests_and_are_bounded() {
        let mut reasons = Reasons::default();
        let first = reasons.id("status 403 (GET /v1.0/users/***, request a)");
        assert_eq!(reasons.id("status 403 (GET /v1.0/users/***, request b)"), first);
        assert_eq!(reasons.text(first), "status 403");
        let ids: Vec<_> = (0..1_000).map(|n| reasons.id(&format!("reason {n}"))).collect();
        assert_eq!(reasons.text(ids[0]), "reason 0");
        assert_eq!((reasons.text(ids[999]).as_str(), ids[998]), (OTHER, ids[999]));
        assert_eq!(reasons.texts.len(), REASONS + 1);
    }

    #[test]
    fn groups_are_those_with_the_most_slices() {
        let (mut reasons, mut counts) = (Reasons::default(), FailureCounts::default());
        for (slices, status, reason) in [
            (2, SliceStatus::Failed, "a"),
            (9, SliceStatus::Skipped, "b"),
            (3, SliceStatus::Failed, "c"),
            (1, SliceStatus::Skipped, "d"),
            (1, SliceStatus::Skipped, "e"),
            (2, SliceStatus::Skipped, "f"),
        ] {
            for at in 0..slices {
                counts.add(status, reasons.id(reason), Instant(at)..Instant(at + 10), Instant(100 + at));
            }
        }
        let OpenFailures { failed, skipped, groups } = counts.finish(&reasons);
        assert_eq!((failed, skipped), (5, 13));
        let shown: Vec<_> = groups.iter().map(|group| (group.reason.as_str(), group.slices)).collect();
        assert_eq!(shown, [("c", 3), ("a", 2), ("b", 9), ("f", 2), ("d", 1)]);
        let c = &groups[0];
        assert_eq!((c.window_start, c.window_end, c.last_failed_at), (Instant(0), Instant(12), Instant(102)));
    }
}
