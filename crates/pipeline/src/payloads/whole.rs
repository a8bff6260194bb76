//! Weeks whose payloads are whole: a later run does not look at them before a file of theirs comes or goes.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::{PAYLOAD, Table, Week};
use copilot_lake_writer::{Error, Lake};

/// What the weeks of a table and of its payloads are, by [`Lake::week_fingerprints`].
type Prints = BTreeMap<Week, u64>;

/// Which weeks an earlier run found whole, and what the tables' weeks were when this was read.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    weeks: BTreeMap<&'static str, BTreeSet<Week>>,
    rows: BTreeMap<&'static str, Prints>,
}

impl Whole {
    /// What earlier runs noted about these tables.
    pub(crate) async fn read(lake: &Lake, tables: &[&'static Table]) -> Result<Self, Error> {
        let notes = lake.notes(&PAYLOAD).await?;
        let mut whole = Self::default();
        for table in tables {
            let noted = notes.get(&note_name(table)).map(|note| parse(note)).unwrap_or_default();
            let rows = lake.week_fingerprints(table).await?;
            let now = with_payloads(lake, &rows).await?;
            let unchanged = now.into_iter().filter(|(week, now)| noted.get(week) == Some(now));
            whole.weeks.insert(table.name, unchanged.map(|(week, _)| week).collect());
            whole.rows.insert(table.name, rows);
        }
        Ok(whole)
    }

    pub(crate) fn is_whole(&self, table: &Table, week: Week) -> bool {
        self.weeks.get(table.name).is_some_and(|weeks| weeks.contains(&week))
    }

    /// Notes that all weeks of these tables are whole but those, and those whose rows somebody else has changed since.
    pub(crate) async fn note(
        &self,
        lake: &Lake,
        tables: &[&'static Table],
        lacking: &BTreeSet<(&'static str, Week)>,
    ) -> Result<(), Error> {
        let (known, mut notes) = (lake.notes(&PAYLOAD).await?, BTreeMap::new());
        for table in tables {
            let mut rows = lake.week_fingerprints(table).await?;
            let seen = self.rows.get(table.name);
            rows.retain(|week, print| {
                seen.is_some_and(|seen| seen.get(week) == Some(print)) && !lacking.contains(&(table.name, *week))
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

/// The weeks of a table, each with what its files and those of its payloads are.
async fn with_payloads(lake: &Lake, rows: &Prints) -> Result<Prints, Error> {
    let payloads = lake.week_fingerprints(&PAYLOAD).await?;
    let both =
        |(week, print): (&Week, &u64)| (*week, print.rotate_left(1) ^ payloads.get(week).copied().unwrap_or_default());
    Ok(rows.iter().map(both).collect())
}

fn parse(note: &str) -> Prints {
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
        let whole = async || {
            let whole = Whole::read(&lake, &tables).await.unwrap();
            [first, last].map(|week| whole.is_whole(&COPILOT_EVENT, week))
        };
        let note = async |lacking: &BTreeSet<_>| {
            Whole::read(&lake, &tables).await.unwrap().note(&lake, &tables, lacking).await.unwrap();
        };
        assert_eq!(whole().await, [false, false], "nothing was noted");

        note(&BTreeSet::from([(COPILOT_EVENT.name, last)])).await;
        assert_eq!(whole().await, [true, false], "the last week lacks a payload");
        note(&BTreeSet::new()).await;
        assert_eq!(whole().await, [true, true]);

        put(&lake, &COPILOT_EVENT, "c", new).await;
        assert_eq!(whole().await, [true, false], "a row came");
        note(&BTreeSet::new()).await;
        put(&lake, &PAYLOAD, "a", old).await;
        assert_eq!(whole().await, [false, true], "a payload came");

        let before = Whole::read(&lake, &tables).await.unwrap();
        put(&lake, &COPILOT_EVENT, "d", old).await;
        before.note(&lake, &tables, &BTreeSet::new()).await.unwrap();
        assert_eq!(whole().await, [false, true], "a row came while payloads were looked for");

        // The note is in the table's log, where another process finds it.
        let state = Whole::read(&lake, &[]).await.unwrap();
        assert!(!state.is_whole(&COPILOT_EVENT, last), "not asked for");
    }
}
