//! A user's history, page by page: what is kept of it, and what comes again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use copilot_lake_tables::Instant;

use crate::stored_id::stored_id;

/// Which rows are kept of a history that was read without a filter. Rows without a usable time are.
#[derive(Debug, Clone)]
pub struct HistoryWindow {
    /// When they were created.
    pub window: Range<Instant>,
    /// Their app classes; all when empty.
    pub app_classes: Vec<String>,
}

/// The history of a user, page by page. The service walks folders by offset, so that rows may come again: one that was
/// decoded before in the same words is left out.
#[derive(Debug)]
pub struct History {
    user_id: String,
    keep: Option<HistoryWindow>,
    /// Hashes of the keys of rows that came, and of their words.
    seen: HashMap<u64, u64>,
    state: RandomState,
    rows: u64,
    rejected: u64,
}

impl History {
    /// Nothing was read yet; without `keep` all rows are kept.
    pub fn new(user_id: &str, keep: Option<HistoryWindow>) -> Self {
        Self {
            user_id: stored_id(user_id).into_owned(),
            keep,
            seen: HashMap::new(),
            state: RandomState::new(),
            rows: 0,
            rejected: 0,
        }
    }

    /// Rows that were received.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values of them that did not fit.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    pub(super) fn count(&mut self, rows: u64, rejected: u64) {
        self.rows += rows;
        self.rejected += rejected;
    }

    pub(super) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// What becomes of a row with this key, time and class.
    pub(super) fn classify(
        &mut self,
        key: &[String; 3],
        created_at: Option<Instant>,
        app_class: Option<&str>,
        raw: &str,
    ) -> RowOccurrence {
        if let Some(HistoryWindow { window, app_classes }) = &self.keep {
            let is_outside = created_at.is_some_and(|at| !window.contains(&at));
            let is_other_app = !app_classes.is_empty() && !app_classes.iter().any(|class| Some(&**class) == app_class);
            if is_outside || is_other_app {
                return RowOccurrence::Filtered;
            }
        }
        let (key, content_hash) = (self.state.hash_one(key), self.state.hash_one(raw));
        match self.seen.insert(key, content_hash) {
            None => RowOccurrence::New(key),
            Some(before) if before == content_hash => RowOccurrence::Repeated,
            Some(_) => RowOccurrence::Changed(key),
        }
    }
}

/// What becomes of a row, with a hash of its key if it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOccurrence {
    New(u64),
    /// It came before in the same words.
    Repeated,
    /// It came before in other words.
    Changed(u64),
    Filtered,
}
