//! Histories whose pages are in several archives of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::description::KeptRows;
use crate::graph::history::HistoryDecoding;

/// The histories of a run that have not ended yet.
#[derive(Default)]
pub(super) struct OpenHistories {
    pub(super) run_id: String,
    /// By the user's id as the ledger has it.
    pub(super) users: HashMap<String, OpenHistory>,
}

/// A history of which more pages may come.
pub(super) struct OpenHistory {
    pub(super) decoding: Arc<Mutex<HistoryDecoding>>,
    pub(super) keep: Option<KeptRows>,
    pub(super) pages: u64,
    pub(super) is_damaged: bool,
}
