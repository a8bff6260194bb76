//! Bundles: pages of several users that are decoded together, so that batches are not tiny.

use std::sync::PoisonError;

use bytes::Bytes;
use copilot_lake_decoder::{DecodedInteractions, Error, Interactions};
use copilot_lake_tables::Instant;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;

use super::history::{EndedHistory, HistoryDecoding, HistoryEvent, HistoryPage};
use crate::cpu;
use crate::replay::description::{HistoryLine, KeptRows};

/// The most bytes that are decoded together, not counting the last page.
pub(crate) const BYTES: usize = 1 << 20;
/// Bundles that are decoded ahead.
const AHEAD: usize = 2;

/// Pages that were decoded together, and the histories that ended with them: all pages of those are in this bundle or
/// an earlier one.
pub(crate) struct Bundle {
    /// Parts that follow one another.
    pub(crate) decoded: Vec<DecodedInteractions>,
    pub(crate) extracted_at: Instant,
    pub(crate) pages: usize,
    pub(crate) throttled_seconds: f64,
    pub(crate) ended: Vec<EndedHistory>,
    /// The pages as they came, if they are archived.
    pub(crate) raw: Vec<(HistoryLine, Bytes)>,
}

/// Decodes pages in their order. Whatever has come by the time the decoder is free is one bundle. `is_archived`: the
/// bundle holds the pages as well.
pub(crate) fn bundles(
    events: mpsc::Receiver<HistoryEvent>,
    is_archived: bool,
) -> impl Stream<Item = Result<Bundle, Error>> {
    let next = |mut events: mpsc::Receiver<HistoryEvent>| async move {
        let (mut pages, mut ended, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = events.recv().await;
        while let Some(of_user) = next {
            match of_user {
                HistoryEvent::Page(page) => {
                    bytes += page.page.body.len();
                    pages.push(page);
                }
                HistoryEvent::End(end) => ended.push(*end),
            }
            next = if bytes < BYTES { events.try_recv().ok() } else { None };
        }
        if pages.is_empty() && ended.is_empty() { None } else { Some(((pages, ended), events)) }
    };
    stream::unfold(events, next).map(move |(pages, ended)| decode(pages, ended, is_archived)).buffered(AHEAD)
}

/// Decodes pages together.
pub(crate) async fn decode(
    pages: Vec<HistoryPage>,
    ended: Vec<EndedHistory>,
    is_archived: bool,
) -> Result<Bundle, Error> {
    cpu::run_on_rayon(move || {
        let mut interactions = Interactions::default();
        let (mut extracted_at, mut throttled_seconds) = (Instant(0), 0.0);
        let count = pages.len();
        let mut raw = Vec::new();
        for received in pages {
            let HistoryPage { history, page, extracted_at: at } = received;
            extracted_at = extracted_at.max(at);
            throttled_seconds += page.throttled.as_secs_f64();
            let mut decoding = history.lock().unwrap_or_else(PoisonError::into_inner);
            decoding.pages += 1;
            if is_archived {
                raw.push((history_line(&decoding), page.body.clone()));
            }
            let decoding = &mut *decoding;
            if let Err(error) = interactions.add(&mut decoding.history, page.rows()) {
                decoding.broken = Some(error);
            }
        }
        let decoded = interactions.finish(extracted_at)?;
        Ok(Bundle { decoded, extracted_at, pages: count, throttled_seconds, ended, raw })
    })
    .await
}

/// What the archive says of a history's last page, but for the time of its bundle.
fn history_line(decoding: &HistoryDecoding) -> HistoryLine {
    let keep = decoding.keep.as_ref().map(|keep| KeptRows {
        start: keep.window.start.to_string(),
        end: keep.window.end.to_string(),
        app_classes: keep.app_classes.clone(),
    });
    HistoryLine { user: decoding.user.clone(), number: decoding.pages, extracted_at: String::new(), keep }
}
