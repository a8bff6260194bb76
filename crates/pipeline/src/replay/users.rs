//! Archived users: those in scope are written again.

use std::sync::Arc;

use bytes::Bytes;
use copilot_lake_extractor::Page;
use copilot_lake_tables::GRAPH_USER;
use copilot_lake_writer::MergeMode;

use super::page_slices::pages;
use super::read_description::{ArchivedSlice, instant};
use super::replayer::{Replayer, partly};
use crate::error::Error;
use crate::graph::scope::{self, UserRows};
use crate::reread::reread;

/// Replays the users of a run.
pub(super) async fn replay_users(replayer: &Replayer, slice: &ArchivedSlice) -> Result<(), Error> {
    let (run, now) = (&replayer.run, instant(&slice.about.as_of)?);
    let known = Arc::new(reread(|| scope::known_users(&run.lake)).await?);
    let mut rows = UserRows::new(run, MergeMode::UpsertReread, None);
    let (mut read, mut failures) = (0, Vec::new());
    for (line, content) in pages(slice).await? {
        let at = instant(&line.extracted_at)?;
        let body = replayer.ahead.clone().page(Arc::clone(&slice.archive), content).await;
        let damaged = |_| format!("{}: page {} is damaged", slice.archive.folder.path, line.number);
        let page = match body.and_then(|body| Page::read(line.number, body).map_err(damaged)) {
            Ok(page) => page,
            Err(reason) => {
                failures.push(reason);
                continue;
            }
        };
        let decoded = scope::decode_page(page, at, &known, now).await?;
        let keep = decoded.users.iter().map(|user| line.ids.contains(&user.id)).collect();
        rows.push(decoded, (keep, Bytes::new()), at).await?;
        read += 1;
    }
    let written = rows.commit().await?;
    {
        let mut reports = run.reports.lock().await;
        let report = reports.table(GRAPH_USER.name);
        (report.pages, report.rows_written) = (report.pages + read, report.rows_written + written);
    }
    if !failures.is_empty() {
        replayer.record_failure(&slice.about, partly(&failures, "pages")).await;
    }
    Ok(())
}
