//! A user's history across pages: filtering, and rows that are sent again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use copilot_lake_tables::Instant;

use crate::stored_id::stored_id;

/// Which rows to keep of a history that was read unfiltered. Rows without a usable time are kept.
#[derive(Debug, Clone)]
pub struct HistoryWindow {
    /// When they were created.
    pub window: Range<Instant>,
    /// Their app classes; empty means all.
    pub app_classes: Vec<String>,
}

/// A user's history, page by page. The service pages through folders by offset, so rows may be sent again: identical
/// repetitions are dropped.
#[derive(Debug)]
pub struct History {
    user_id: String,
    keep: Option<HistoryWindow>,
    /// Hashes of the keys and contents of the rows received.
    seen: HashMap<u64, u64>,
    state: RandomState,
    rows: u64,
    rejected: u64,
}

impl History {
    /// Starts a history; without `keep` all rows are kept.
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

    /// Rows received.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values rejected.
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

    /// Classifies a row by its key, time, app class and content.
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

/// How a row relates to the rows before it, with a hash of its key if it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOccurrence {
    New(u64),
    /// Sent before with the same content.
    Repeated,
    /// Sent before with other content.
    Changed(u64),
    Filtered,
}
