//! Rows that a table has lost and that must be read again. The commit that removes the lost files notes them in the
//! log, so that they are remembered until they have been read, however a run ends.

use std::collections::BTreeMap;
use std::ops::Range;

use copilot_lake_tables::{Instant, Table, TimeOf, Week};
use serde_json::Value;

use crate::delta::data_file::DataFile;

/// Rows that a table has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRows {
    /// Start of the run that found the loss: what that run or a later one has read is not lost.
    pub found_at: Instant,
    /// The run that found it.
    pub found_by: String,
    /// Which rows.
    pub extent: Extent,
}

/// Which rows are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of them, or an unknown part.
    Everything,
    /// Those of some weeks, each with the range of their times of creation.
    Weeks(BTreeMap<Week, Range<Instant>>),
}

impl LostRows {
    /// The rows lost with these files.
    pub(crate) fn from_files(table: &'static Table, files: &[impl AsRef<DataFile>], found: (&str, Instant)) -> Self {
        let mut weeks = BTreeMap::new();
        for file in files {
            match times_of_file(table, file.as_ref()) {
                Some((week, times)) => widen(&mut weeks, week, times),
                None => return Self::everything(found),
            }
        }
        Self { extent: Extent::Weeks(weeks), ..Self::everything(found) }
    }

    /// All rows.
    pub(crate) fn everything((found_by, found_at): (&str, Instant)) -> Self {
        Self { found_at, found_by: found_by.to_owned(), extent: Extent::Everything }
    }

    /// The union of both.
    pub(crate) fn union(self, other: Option<Self>) -> Self {
        let extent = match (self.extent, other.map(|other| other.extent)) {
            (extent, None) => extent,
            (Extent::Weeks(mut weeks), Some(Extent::Weeks(more))) => {
                more.into_iter().for_each(|(week, times)| widen(&mut weeks, week, times));
                Extent::Weeks(weeks)
            }
            _ => Extent::Everything,
        };
        Self { extent, ..self }
    }

    /// The text of the note, for [`LostRows::parse`].
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}", self.found_at, self.found_by);
        match &self.extent {
            Extent::Everything => text.push_str(" everything"),
            Extent::Weeks(weeks) => {
                for (week, times) in weeks {
                    text.push_str(&format!(" {week}/{}/{}", times.start, times.end));
                }
            }
        }
        text
    }

    /// Reads a note; an unreadable one means everything.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.split(' ');
        let found_at = parts.next().and_then(Instant::parse).unwrap_or(Instant(i64::MAX));
        let found_by = parts.next().unwrap_or_default().to_owned();
        let week = |part: &str| {
            let mut parts = part.split('/');
            let (week, start, end) = (parts.next()?, parts.next()?, parts.next()?);
            Some((Week::parse(week)?, Instant::parse(start)?..Instant::parse(end)?))
        };
        let weeks: Option<BTreeMap<_, _>> = parts.map(week).collect();
        let weeks = weeks.filter(|weeks| !weeks.is_empty());
        Self { found_at, found_by, extent: weeks.map_or(Extent::Everything, Extent::Weeks) }
    }
}

/// The week of a file, and the range of its rows' times; `None` when unknown.
fn times_of_file(table: &'static Table, file: &DataFile) -> Option<(Week, Range<Instant>)> {
    let week = file.week.filter(|week| *week != Week::UNKNOWN)?;
    let whole = week.start()..week.end();
    let (TimeOf::Column(column) | TimeOf::PartitionIdOr(column)) = table.time else { return Some((week, whole)) };
    let stats: Value = file.stats.as_deref().and_then(|text| serde_json::from_str(text).ok())?;
    let time = |part: &str| stats[part][column].as_str().and_then(Instant::parse);
    if stats["nullCount"][column].as_u64() != Some(0) {
        return None;
    }
    // The log has milliseconds only.
    let (low, high) = (time("minValues")?.floor_second(), time("maxValues")?.plus_seconds(1).ceil_second());
    Some((week, whole.start.min(low)..whole.end.max(high)))
}

fn widen(weeks: &mut BTreeMap<Week, Range<Instant>>, week: Week, times: Range<Instant>) {
    let known = weeks.entry(week).or_insert_with(|| times.clone());
    *known = known.start.min(times.start)..known.end.max(times.end);
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::{COPILOT_EVENT, EXTRACTION_SLICE, PAYLOAD};
    use object_store::path::Path;
    use std::sync::Arc;

    use super::*;

    fn file(table: &'static Table, week: Option<&str>, stats: &str) -> Arc<DataFile> {
        let week = week.and_then(Week::parse);
        Arc::new(DataFile::new(table, Path::from("x"), week, 1, 0, Some(stats.to_owned())))
    }

    fn found(table: &'static Table, files: &[Arc<DataFile>]) -> String {
        let lost = LostRows::from_files(table, files, ("r", Instant::parse("2025-11-05T12:00:00Z").unwrap()));
        assert_eq!(LostRows::parse(&lost.text()), lost);
        lost.text()
    }

    #[test]
    fn the_times_of_lost_rows_are_told_by_week_and_statistics() {
        let stats = |low: &str, high: &str| {
            format!(
                r#"{{"numRecords":2,"minValues":{{"createdon":"{low}"}},"maxValues":{{"createdon":"{high}"}},"nullCount":{{"createdon":0}}}}"#
            )
        };
        let inside = stats("2025-06-23T10:00:00.123Z", "2025-06-24T10:00:00.123Z");
        let week = Some("2025-06-22");
        assert_eq!(
            found(&COPILOT_EVENT, &[file(&COPILOT_EVENT, week, &inside)]),
            "2025-11-05T12:00:00Z r 2025-06-22/2025-06-22T00:00:00Z/2025-06-29T00:00:00Z"
        );
        let outside = stats("2025-06-20T10:00:00.123Z", "2025-06-24T10:00:00.123Z");
        assert_eq!(
            found(&COPILOT_EVENT, &[file(&COPILOT_EVENT, week, &inside), file(&COPILOT_EVENT, week, &outside)]),
            "2025-11-05T12:00:00Z r 2025-06-22/2025-06-20T10:00:00Z/2025-06-29T00:00:00Z"
        );
        assert_eq!(
            found(&PAYLOAD, &[file(&PAYLOAD, week, "{}")]),
            "2025-11-05T12:00:00Z r 2025-06-22/2025-06-22T00:00:00Z/2025-06-29T00:00:00Z"
        );
        let everything = "2025-11-05T12:00:00Z r everything";
        assert_eq!(found(&COPILOT_EVENT, &[file(&COPILOT_EVENT, week, "{}")]), everything, "no statistics");
        let unknown = Week::UNKNOWN.to_string();
        assert_eq!(found(&COPILOT_EVENT, &[file(&COPILOT_EVENT, Some(&unknown), &inside)]), everything);
        assert_eq!(found(&EXTRACTION_SLICE, &[file(&EXTRACTION_SLICE, None, &inside)]), everything);
    }

    #[test]
    fn what_was_lost_before_is_lost_too() {
        let (a, b) = (
            LostRows::parse("2025-11-05T12:00:00Z r 2025-06-22/2025-06-22T00:00:00Z/2025-06-29T00:00:00Z"),
            LostRows::parse("2025-11-04T12:00:00Z q 2025-06-29/2025-06-29T00:00:00Z/2025-07-06T00:00:00Z"),
        );
        assert_eq!(
            a.clone().union(Some(b)).text(),
            "2025-11-05T12:00:00Z r 2025-06-22/2025-06-22T00:00:00Z/2025-06-29T00:00:00Z \
             2025-06-29/2025-06-29T00:00:00Z/2025-07-06T00:00:00Z"
        );
        assert_eq!(a.union(Some(LostRows::parse("damaged"))).extent, Extent::Everything);
    }
}
