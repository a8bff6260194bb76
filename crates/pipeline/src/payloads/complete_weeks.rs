//! Weeks whose payloads are complete: later runs skip them until a file of theirs is added or removed.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{PAYLOAD, Table, Week};
use copilot_lake_writer::{Error, Lake};

/// Fingerprints of the files of each week, by [`Lake::week_fingerprints`].
type WeekFingerprints = BTreeMap<Week, u64>;

/// The weeks that an earlier run found complete, and the fingerprints of all weeks when this was read.
#[derive(Debug, Default)]
pub(crate) struct CompleteWeeks {
    weeks: BTreeMap<&'static str, BTreeSet<Week>>,
    rows: BTreeMap<&'static str, WeekFingerprints>,
}

impl CompleteWeeks {
    /// What earlier runs noted about these tables.
    pub(crate) async fn read(lake: &Lake, tables: &[&'static Table]) -> Result<Self, Error> {
        let notes = lake.notes(&PAYLOAD).await?;
        let mut found = Self::default();
        for table in tables {
            let noted = notes.get(&note_name(table)).map(|note| parse(note)).unwrap_or_default();
            let rows = lake.week_fingerprints(table).await?;
            let now = with_payloads(lake, &rows).await?;
            let unchanged = now.into_iter().filter(|(week, now)| noted.get(week) == Some(now));
            found.weeks.insert(table.name, unchanged.map(|(week, _)| week).collect());
            found.rows.insert(table.name, rows);
        }
        Ok(found)
    }

    pub(crate) fn contains(&self, table: &Table, week: Week) -> bool {
        self.weeks.get(table.name).is_some_and(|weeks| weeks.contains(&week))
    }

    /// Notes that the weeks of these tables are complete, except `incomplete` ones and those whose rows another program
    /// has changed since.
    pub(crate) async fn note(
        &self,
        lake: &Lake,
        tables: &[&'static Table],
        incomplete: &BTreeSet<(&'static str, Week)>,
    ) -> Result<(), Error> {
        let (known, mut notes) = (lake.notes(&PAYLOAD).await?, BTreeMap::new());
        for table in tables {
            let mut rows = lake.week_fingerprints(table).await?;
            let seen = self.rows.get(table.name);
            rows.retain(|week, print| {
                seen.is_some_and(|seen| seen.get(week) == Some(print)) && !incomplete.contains(&(table.name, *week))
            });
            let weeks = with_payloads(lake, &rows).await?;
            let weeks: Vec<_> = weeks.into_iter().map(|(week, print)| format!("{week}:{print:016x}")).collect();
            if !weeks.is_empty() || known.contains_key(&note_name(table)) {
                notes.insert(note_name(table), weeks.join(" "));
            }
        }
        lake.set_notes(&PAYLOAD, notes).await
    }
}

fn note_name(table: &Table) -> String {
    format!("payloadsWhole.{}", table.name)
}

/// The weeks of a table, each with the fingerprint of its files and of those of its payloads.
async fn with_payloads(lake: &Lake, rows: &WeekFingerprints) -> Result<WeekFingerprints, Error> {
    let payloads = lake.week_fingerprints(&PAYLOAD).await?;
    let both =
        |(week, print): (&Week, &u64)| (*week, print.rotate_left(1) ^ payloads.get(week).copied().unwrap_or_default());
    Ok(rows.iter().map(both).collect())
}

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
    use copilot_lake_tables::{COPILOT_EVENT, Instant};
    use copilot_lake_writer::{Instance, LakeOptions, MergeMode};

    use super::*;

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
        let complete = async || {
            let complete = CompleteWeeks::read(&lake, &tables).await.unwrap();
            [first, last].map(|week| complete.contains(&COPILOT_EVENT, week))
        };
        let note = async |lacking: &BTreeSet<_>| {
            CompleteWeeks::read(&lake, &tables).await.unwrap().note(&lake, &tables, lacking).await.unwrap();
        };
        assert_eq!(complete().await, [false, false], "nothing was noted");

        note(&BTreeSet::from([(COPILOT_EVENT.name, last)])).await;
        assert_eq!(complete().await, [true, false], "the last week lacks a payload");
        note(&BTreeSet::new()).await;
        assert_eq!(complete().await, [true, true]);

        put(&lake, &COPILOT_EVENT, "c", new).await;
        assert_eq!(complete().await, [true, false], "a row came");
        note(&BTreeSet::new()).await;
        put(&lake, &PAYLOAD, "a", old).await;
        assert_eq!(complete().await, [false, true], "a payload came");

        let before = CompleteWeeks::read(&lake, &tables).await.unwrap();
        put(&lake, &COPILOT_EVENT, "d", old).await;
        before.note(&lake, &tables, &BTreeSet::new()).await.unwrap();
        assert_eq!(complete().await, [false, true], "a row came while payloads were looked for");

        // The note is in the table's log, where another process finds it.
        let state = CompleteWeeks::read(&lake, &[]).await.unwrap();
        assert!(!state.contains(&COPILOT_EVENT, last), "not asked for");
    }
}
