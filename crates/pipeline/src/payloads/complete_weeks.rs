//! Weeks whose payloads are complete: later runs skip them until rows of theirs, or of their payloads, come or go. The
//! ledger has them as windows of the time column [`PAYLOADS`].

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{Instant, PAYLOAD, Table, Week};
use copilot_lake_writer::{Error, Lake};

use crate::ledger::slice_row::SliceRow;
use crate::ledger::week_records::{newest_records, record_row};
use crate::ledger::windows::PAYLOADS;

/// What the names of the notes begin with that older versions kept in the configuration of `payload`.
const NOTE: &str = "payloadsWhole.";

/// Fingerprints of the rows of each week, by [`Lake::week_fingerprints`].
type WeekFingerprints = BTreeMap<Week, u64>;

/// What earlier runs have recorded of the weeks of each table: the fingerprint with which a week was complete.
#[derive(Debug, Default)]
pub(crate) struct RecordedWeeks {
    /// In the ledger; `None`: it is not complete any more.
    ledger: BTreeMap<String, BTreeMap<Week, Option<u64>>>,
    /// As older versions did, in the table's configuration.
    notes: BTreeMap<String, WeekFingerprints>,
}

impl RecordedWeeks {
    /// Reads what earlier runs have recorded.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut found = Self::default();
        for ((table, week), record) in newest_records(lake, PAYLOADS).await? {
            let print = u64::from_str_radix(&record.selection, 16).ok();
            found.ledger.entry(table).or_default().insert(week, print);
        }
        // The command that needs them reads the table again, and reports why it cannot be read.
        for (name, note) in lake.notes(&PAYLOAD).await.unwrap_or_default() {
            if let Some(table) = name.strip_prefix(NOTE) {
                found.notes.insert(table.to_owned(), parse(&note));
            }
        }
        Ok(found)
    }

    /// The fingerprint with which a week was complete.
    fn complete(&self, table: &Table, week: Week) -> Option<u64> {
        match self.ledger.get(table.name).and_then(|weeks| weeks.get(&week)) {
            Some(print) => *print,
            None => self.notes.get(table.name)?.get(&week).copied(),
        }
    }
}

/// The weeks that an earlier run found complete, and the fingerprints of all weeks when this was read.
#[derive(Debug, Default)]
pub(crate) struct CompleteWeeks {
    weeks: BTreeMap<&'static str, BTreeSet<Week>>,
    rows: BTreeMap<&'static str, WeekFingerprints>,
}

impl CompleteWeeks {
    /// The weeks of these tables that are as they were recorded.
    pub(crate) async fn read(lake: &Lake, recorded: &RecordedWeeks, tables: &[&'static Table]) -> Result<Self, Error> {
        let mut found = Self::default();
        for table in tables {
            let rows = lake.week_fingerprints(table).await?;
            let known = rows.keys().filter_map(|week| Some((*week, recorded.complete(table, *week)?))).collect();
            found.weeks.insert(table.name, unchanged(lake, table, &rows, &known).await?);
            found.rows.insert(table.name, rows);
        }
        Ok(found)
    }

    pub(crate) fn contains(&self, table: &Table, week: Week) -> bool {
        self.weeks.get(table.name).is_some_and(|weeks| weeks.contains(&week))
    }

    /// What is to be recorded: the weeks of these tables are complete, except `incomplete` ones and those whose rows
    /// another program has changed since. `at`: the service's time.
    pub(crate) async fn changed_since(
        &self,
        lake: &Lake,
        recorded: &RecordedWeeks,
        tables: &[&'static Table],
        incomplete: &BTreeSet<(&'static str, Week)>,
        at: Instant,
    ) -> Result<Vec<SliceRow>, Error> {
        let mut changed = Vec::new();
        let nothing = WeekFingerprints::new();
        for &table in tables {
            let rows = lake.week_fingerprints(table).await?;
            let seen = self.rows.get(table.name).unwrap_or(&nothing);
            let others = rows.iter().filter(|(week, print)| seen.get(*week) != Some(*print)).map(|(week, _)| *week);
            let others = others.collect::<BTreeSet<_>>();
            let compacted = lake.fingerprints_across_compactions(table, &others).await?;
            for (week, print) in with_payloads(lake, &rows).await? {
                let is_seen = seen.get(&week).is_some_and(|seen| {
                    rows.get(&week) == Some(seen) || compacted.get(&week).is_some_and(|prints| prints.contains(seen))
                });
                let is_complete = is_seen && !incomplete.contains(&(table.name, week));
                let in_ledger = recorded.ledger.get(table.name).and_then(|weeks| weeks.get(&week)).copied().flatten();
                if is_complete && in_ledger != Some(print) {
                    changed.push(row(table, week, Some(print), at));
                } else if !is_complete && recorded.complete(table, week).is_some() {
                    // Something of it is missing now, though its rows may be the same.
                    changed.push(row(table, week, None, at));
                }
            }
        }
        Ok(changed)
    }
}

/// Removes what older versions kept in the table's configuration: it is in the ledger now.
pub(crate) async fn remove_older(lake: &Lake, recorded: &RecordedWeeks) -> Result<(), Error> {
    let names = recorded.notes.keys().map(|table| format!("{NOTE}{table}")).collect::<BTreeSet<_>>();
    if names.is_empty() { Ok(()) } else { lake.remove_notes(&PAYLOAD, &names).await }
}

fn row(table: &'static Table, week: Week, print: Option<u64>, at: Instant) -> SliceRow {
    let selection = print.map(|print| format!("{print:016x}")).unwrap_or_default();
    record_row(table, PAYLOADS, week, selection, 0, at)
}

/// Those of the known weeks whose rows and payloads are those that had the known fingerprint. Other tools may have compacted
/// them since.
async fn unchanged(
    lake: &Lake,
    table: &'static Table,
    rows: &WeekFingerprints,
    known: &WeekFingerprints,
) -> Result<BTreeSet<Week>, Error> {
    let now = with_payloads(lake, rows).await?;
    let (mut same, others): (BTreeSet<Week>, BTreeSet<Week>) =
        known.keys().copied().partition(|week| now.get(week) == known.get(week));
    let rows = lake.fingerprints_across_compactions(table, &others).await?;
    let payloads = lake.fingerprints_across_compactions(&PAYLOAD, &others).await?;
    let none = BTreeSet::from([0]);
    same.extend(others.into_iter().filter(|week| {
        let (rows, payloads) = (rows.get(week), payloads.get(week).unwrap_or(&none));
        let has_print = |rows: &u64| payloads.iter().any(|of| known.get(week) == Some(&of_both(*rows, *of)));
        rows.into_iter().flatten().any(has_print)
    }));
    Ok(same)
}

/// The weeks of a table, each with the fingerprint of its rows and of those of its payloads.
async fn with_payloads(lake: &Lake, rows: &WeekFingerprints) -> Result<WeekFingerprints, Error> {
    let payloads = lake.week_fingerprints(&PAYLOAD).await?;
    let both = |(week, print): (&Week, &u64)| (*week, of_both(*print, payloads.get(week).copied().unwrap_or_default()));
    Ok(rows.iter().map(both).collect())
}

/// The fingerprint of rows and payloads with these fingerprints.
fn of_both(rows: u64, payloads: u64) -> u64 {
    rows.rotate_left(1) ^ payloads
}

/// Reads a note of an older version.
fn parse(note: &str) -> WeekFingerprints {
    let week = |part: &str| {
        let (week, print) = part.split_once(':')?;
        Some((Week::parse(week)?, u64::from_str_radix(print, 16).ok()?))
    };
    note.split(' ').filter_map(week).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use copilot_lake_decoder::assemble;
    use copilot_lake_tables::COPILOT_EVENT;
    use copilot_lake_writer::{Instance, LakeOptions, MergeMode};

    use super::*;
    use crate::ledger::Ledger;

    /// Puts a row with that id and time into a table.
    async fn put(lake: &Lake, table: &'static Table, id: &str, time: &str) {
        let time = Instant::parse(time).unwrap();
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let at = || Arc::new(TimestampMicrosecondArray::from(vec![time.0]).with_timezone("UTC")) as ArrayRef;
        let of_key = table.key.iter().map(|name| (*name, text(id)));
        let fields = table.layout().schema().fields();
        let times = ["row_time", "extracted_at"].into_iter().filter(|name| fields.iter().any(|f| f.name() == name));
        let row = of_key.chain(times.map(|name| (name, at()))).collect();
        let mut changes = lake.changes(table, MergeMode::Upsert);
        changes.push(Some(Week::of(time)), assemble(table, row).unwrap()).await.unwrap();
        changes.commit("run").await.unwrap();
    }

    #[tokio::test]
    async fn a_week_is_looked_at_again_when_a_file_of_it_or_of_its_payloads_comes() {
        let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
        lake.prepare(&Instance::default(), false).await.unwrap();
        let tables = [&COPILOT_EVENT];
        let (old, new) = ("2025-10-01T10:00:00Z", "2025-10-29T10:00:00Z");
        let [first, last] = [old, new].map(|time| Week::of(Instant::parse(time).unwrap()));
        put(&lake, &COPILOT_EVENT, "a", old).await;
        put(&lake, &COPILOT_EVENT, "b", new).await;
        let read = async || {
            let recorded = RecordedWeeks::read(&lake).await.unwrap();
            let complete = CompleteWeeks::read(&lake, &recorded, &tables).await.unwrap();
            (recorded, complete)
        };
        let complete = async || {
            let complete = read().await.1;
            [first, last].map(|week| complete.contains(&COPILOT_EVENT, week))
        };
        let ledger = Ledger::read(&lake).await.unwrap();
        let seconds = std::cell::Cell::new(0);
        let record = async |(recorded, complete): (RecordedWeeks, CompleteWeeks), lacking: &BTreeSet<_>| {
            // Each by a run of its own.
            seconds.set(seconds.get() + 1);
            let (run, at) = (format!("run-{}", seconds.get()), Instant(seconds.get() * 1_000_000));
            let rows = complete.changed_since(&lake, &recorded, &tables, lacking, at).await.unwrap();
            ledger.record_all(&run, rows.iter(), false).await.unwrap();
            ledger.flush(&run).await.unwrap();
            remove_older(&lake, &recorded).await.unwrap();
            rows.len()
        };
        let note = async |lacking: &BTreeSet<_>| record(read().await, lacking).await;
        assert_eq!(complete().await, [false, false], "nothing was noted");

        let lacks_last = BTreeSet::from([(COPILOT_EVENT.name, last)]);
        note(&lacks_last).await;
        assert_eq!(complete().await, [true, false], "the last week lacks a payload");
        assert_eq!(note(&BTreeSet::new()).await, 1, "what is known is not recorded again");
        assert_eq!(complete().await, [true, true]);
        assert_eq!(note(&BTreeSet::new()).await, 0);
        note(&lacks_last).await;
        assert_eq!(complete().await, [true, false], "a File is missing of the same rows");
        note(&BTreeSet::new()).await;

        put(&lake, &COPILOT_EVENT, "c", new).await;
        assert_eq!(complete().await, [true, false], "a row came");
        note(&BTreeSet::new()).await;
        put(&lake, &PAYLOAD, "a", old).await;
        assert_eq!(complete().await, [false, true], "a payload came");

        let before = read().await;
        put(&lake, &COPILOT_EVENT, "d", old).await;
        record(before, &BTreeSet::new()).await;
        assert_eq!(complete().await, [false, true], "a row came while payloads were looked for");
    }

    #[test]
    fn what_older_versions_noted_counts_until_the_ledger_says_otherwise() {
        let week = |text: &str| Week::parse(text).unwrap();
        let [first, second] = [week("2025-09-28"), week("2025-10-26")];
        let notes = parse("2025-09-28:00000000000000ff 2025-10-26:0000000000000001 nonsense");
        let mut recorded = RecordedWeeks::default();
        recorded.notes.insert(COPILOT_EVENT.name.to_owned(), notes);
        assert_eq!([first, second].map(|week| recorded.complete(&COPILOT_EVENT, week)), [Some(255), Some(1)]);
        let of_ledger = BTreeMap::from([(first, Some(7)), (second, None)]);
        recorded.ledger.insert(COPILOT_EVENT.name.to_owned(), of_ledger);
        assert_eq!([first, second].map(|week| recorded.complete(&COPILOT_EVENT, week)), [Some(7), None]);
    }
}
