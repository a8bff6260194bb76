//! The payloads that an archive lists, without those that would replace better ones.

use std::collections::BTreeSet;

use copilot_lake_decoder::SourceRow;
use copilot_lake_tables::{Instant, Week};
use copilot_lake_writer::{ArchivedContent, EntryKind};

use super::description::{ArchivedOutcome, PayloadLine};
use super::read_description::{ArchivedSlice, damaged, instant, place, unusable};
use super::replayer::Replayer;
use super::seen_keys::SeenKeys;
use crate::error::Error;
use crate::payloads::named_files::HeldPayloads;
use crate::reread::reread;

/// A line of the index: a payload, and where its bytes are.
pub(super) struct IndexedPayload {
    pub(super) extracted_at: Instant,
    pub(super) row: SourceRow,
    pub(super) outcome: ArchivedOutcome,
    pub(super) content: Option<ArchivedContent>,
}

/// What an archive lists.
pub(super) async fn indexed(slice: &ArchivedSlice) -> Result<Vec<IndexedPayload>, Error> {
    let folder = &slice.archive.folder;
    let parse = |about: &str, content: Option<ArchivedContent>| {
        let line: Result<PayloadLine, _> = serde_json::from_str(about);
        let line = line.map_err(|error| unusable(folder, &format!("its index cannot be read, {}", place(&error))))?;
        let content = content.or(line.number.map(|number| ArchivedContent::InFile(EntryKind::Payload, number)));
        let extracted_at = instant(&line.extracted_at)?;
        let (row, outcome) = line.into_parts().ok_or_else(|| unusable(folder, "it names an unknown column"))?;
        Ok(IndexedPayload { extracted_at, row, outcome, content })
    };
    if slice.about.version > 1 {
        // Not kept beside what is made from them.
        let entries = folder.entries().await.map_err(|error| damaged(&error))?;
        return entries.into_iter().map(|entry| parse(&entry.about, entry.content)).collect();
    }
    let index = folder.index().await.map_err(|error| damaged(&error))?;
    let payloads = index.lines().map(|line| parse(line, None)).collect::<Result<Vec<_>, Error>>()?;
    let numbers = || {
        payloads.iter().filter_map(|payload| match payload.content {
            Some(ArchivedContent::InFile(_, number)) => Some(number),
            _ => None,
        })
    };
    let listed: BTreeSet<u32> = numbers().collect();
    if listed.len() < numbers().count() {
        return Err(unusable(folder, "its index lists a payload twice"));
    }
    if let Some(number) = folder.payload_files().find(|number| !listed.contains(number)) {
        return Err(unusable(folder, &format!("its index does not list payload {number}")));
    }
    Ok(payloads)
}

/// Drops failures of Files that came before, which are in the lake by then or will be. `decoded`: those.
pub(super) fn drop_failures_of(decoded: &mut SeenKeys, payloads: &mut Vec<IndexedPayload>) {
    payloads.retain(|IndexedPayload { row, outcome, .. }| {
        let key = (row.table, row.column, &row.id, &row.partition_id);
        if outcome.is_failed() {
            return !decoded.contains(key);
        }
        match outcome.is_cleared() {
            true => decoded.remove(key),
            false => decoded.insert(key),
        }
        true
    });
}

/// Drops payloads of which the lake has a later one, and failures where the lake has any.
pub(super) async fn drop_superseded(replayer: &Replayer, payloads: &mut Vec<IndexedPayload>) -> Result<(), Error> {
    if !replayer.had_payloads {
        return Ok(());
    }
    let weeks: BTreeSet<Week> = payloads.iter().map(|payload| Week::of(payload.row.row_time)).collect();
    for week in weeks {
        let held = reread(|| HeldPayloads::read(&replayer.run.lake, week)).await?;
        payloads.retain(|IndexedPayload { extracted_at, row, outcome, .. }| {
            let later = |held: Instant| held > *extracted_at || outcome.is_failed();
            Week::of(row.row_time) != week || !held.extracted_at(row).is_some_and(later)
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::description::CLEARED;

    /// The payloads of an archive: the ids of their rows, and why there are no bytes.
    fn archive(outcomes: &[(&str, Option<&str>)]) -> Vec<IndexedPayload> {
        let payloads = outcomes.iter().map(|(id, status)| {
            let line = serde_json::json!({
                "source_table": "msdyn_copilotevent", "source_id": id, "source_partitionid": "p",
                "column": "msdyn_interactiondata", "file_id": "f", "row_time": "2025-11-02T00:00:00Z", "documented": "",
                "extracted_at": "2025-11-05T12:00:00Z", "status": status, "size": null, "reason": null,
            });
            let line: PayloadLine = serde_json::from_value(line).unwrap();
            let (row, outcome) = line.into_parts().unwrap();
            IndexedPayload { extracted_at: Instant(0), row, outcome, content: None }
        });
        payloads.collect()
    }

    #[test]
    fn a_failure_gives_way_to_what_came_before_in_its_run() {
        let mut decoded = SeenKeys::default();
        let mut replayed = |outcomes: &[(&str, Option<&str>)]| {
            let mut payloads = archive(outcomes);
            drop_failures_of(&mut decoded, &mut payloads);
            payloads.into_iter().map(|payload| payload.row.id).collect::<Vec<_>>()
        };
        let failed = Some("failed");
        assert_eq!(replayed(&[("a", None), ("b", failed), ("c", Some("missing"))]), ["a", "b", "c"]);
        assert_eq!(replayed(&[("a", failed), ("b", failed), ("c", failed)]), ["b"]);
        assert_eq!(replayed(&[("a", Some(CLEARED)), ("a", failed)]), ["a", "a"], "it was cleared in between");
    }
}
