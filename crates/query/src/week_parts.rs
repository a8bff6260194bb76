//! Parts of a materialized view: which weeks are made together when rows have changed, and from which rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type};
use copilot_lake_tables::Week;
use copilot_lake_writer::Lake;
use datafusion::common::HashSet;

use crate::engine::QueryMemory;
use crate::error::Error;
use crate::part_rows::TakenRows;
use crate::row_groups::{CodeLabel, CrossWeekJoin, RowGroups, UnkeyedMatches};
use crate::session::Session;
use crate::week_links::{GROUP_MEMORY, Links};

/// How much is made at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimits {
    /// Memory for sorts and aggregates before they spill to temporary files.
    pub(crate) memory: usize,
    /// Memory for what cannot spill, such as joins: they hold what the data needs, up to this in each of two parts at a time.
    pub(crate) unspillable: usize,
    /// Rows that are in memory together: of more, a part takes one share of the groups after the other. Aggregates spill,
    /// but build sides of joins and windows do not.
    pub(crate) rows: u64,
    /// Rows of linked groups whose hashes are kept: of more, a part takes all rows of the linked weeks.
    pub(crate) linked_rows: u64,
    /// Rows that weeks may read together to be one part, where a part takes all rows of their linked weeks.
    pub(crate) gathered_rows: u64,
}

impl Default for PartLimits {
    /// With the program itself (100 MiB, of which 80 are its code), the rows of a part that wait to be written (30 MiB), and
    /// what scans and windows of two parts hold (60 MiB), that stays below 256 MiB, unless joins need more.
    fn default() -> Self {
        Self { memory: 24 << 20, unspillable: 512 << 20, rows: 1 << 17, linked_rows: 1 << 20, gathered_rows: 1_000_000 }
    }
}

impl PartLimits {
    /// The memory of a session that makes some rows of a view.
    pub(crate) fn query_memory(self) -> QueryMemory {
        QueryMemory::split(self.memory, self.unspillable)
    }
}

/// Weeks of a view that are made together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WeekPart {
    pub(crate) weeks: BTreeSet<Week>,
    /// The weeks of the files that it reads.
    pub(crate) sources: BTreeSet<Week>,
    /// In how many shares of the groups it is made.
    pub(crate) shares: u64,
    /// Which rows it takes. One of linked groups makes all rows of these, and its weeks are those of which nothing else is
    /// stale.
    pub(crate) taken: TakenRows,
}

/// How the stale weeks of a view are made.
#[derive(Debug)]
pub(crate) struct PartPlan {
    pub(crate) parts: Vec<WeekPart>,
    /// The hashes of linked groups; `None`: they are too many, and a part takes all rows of the weeks that it reads.
    pub(crate) linked: Option<Arc<HashSet<u64>>>,
    /// SQL of the label, where the view has one.
    pub(crate) label: Option<String>,
    /// What [`RowGroups::older_rows`] counts.
    pub(crate) older_rows: i64,
}

/// The parts in which the stale weeks of a view are made.
pub(crate) async fn plan(
    lake: &Lake,
    groups: &'static RowGroups,
    changed: &BTreeMap<&'static str, BTreeSet<Week>>,
    limits: PartLimits,
) -> Result<PartPlan, Error> {
    let view = groups.view;
    let session = Session::over_files(lake, limits.query_memory(), |_, _| true).await?;
    session.register_files(&groups.stored_name(), view, lake.files(view).await?)?;
    let label = match &groups.label {
        Some(label) => Some(label_of(label, &session).await?),
        None => None,
    };
    let older_rows = match groups.older_rows {
        Some(sql) => count(&session, sql).await?,
        None => 0,
    };
    session.register_sql("older", &RowGroups::older_rows_sql(older_rows)).await?;
    let mut stale: BTreeSet<Week> = changed.values().flatten().copied().collect();
    if let Some(CrossWeekJoin { from, to }) = groups.cross_week_join
        && changed.get(from).is_some_and(|weeks| !weeks.is_empty())
    {
        stale.extend(lake.weeks(to).await?);
    }
    if let Some(UnkeyedMatches { table, weeks: of_rows }) = &groups.unkeyed_matches
        && changed.get(table).is_some_and(|weeks| !weeks.is_empty())
    {
        stale.extend(weeks(&session, of_rows).await?);
    }
    let mut all = BTreeSet::from_iter(lake.weeks(view).await?);
    let mut rows = BTreeMap::<Week, u64>::new();
    for table in view.view_of().into_iter().flatten().filter_map(|name| copilot_lake_tables::table(name)) {
        for file in lake.files(table).await? {
            if let Some(week) = file.week {
                all.insert(week);
                *rows.entry(week).or_default() += file.rows;
            }
        }
    }
    if let Some(sql) = label.as_deref().and_then(|label| groups.relabelled_sql(label)) {
        stale.extend(weeks(&session, &sql).await?);
    }
    let mut links = Links::new(limits.linked_rows);
    // The groups of few weeks are held in memory.
    let are_few = |weeks: &BTreeSet<Week>| {
        let of_weeks = weeks.iter().filter_map(|week| rows.get(week)).sum::<u64>();
        of_weeks.saturating_mul(GROUP_MEMORY) <= limits.memory as u64 / 2
    };
    let mut of_links = None;
    if stale.is_superset(&all) {
        // A first run of few rows is made at once, whichever weeks are linked.
        if rows.values().sum::<u64>() > limits.rows {
            links.add_groups(groups, &session, &stale, false).await?;
        }
    } else if !stale.is_empty() {
        links.add_groups(groups, &session, &stale, are_few(&stale)).await?;
        let sources: BTreeSet<Week> = links.weeks.keys().copied().collect();
        let more: BTreeSet<Week> = sources.difference(&stale).copied().collect();
        if links.groups.is_some() {
            // Elsewhere, groups that have no rows in the stale weeks are as they were.
            let shares = links.all_rows.div_ceil(limits.rows).max(1);
            let taken = TakenRows::Links;
            of_links = (!more.is_empty()).then_some(WeekPart { weeks: more, sources, shares, taken });
        } else if !more.is_empty() {
            // What is made there takes the rows of its other groups, too.
            links.add_groups(groups, &session, &more, are_few(&more)).await?;
            stale.extend(more);
        }
    }
    // The newest weeks are asked for most.
    let of_sources = changed.iter().filter(|(table, _)| **table != view.name);
    let of_sources: BTreeSet<Week> = of_sources.flat_map(|(_, weeks)| weeks).copied().collect();
    let (last, first): (Vec<_>, Vec<_>) = stale.into_iter().rev().partition(|week| of_sources.contains(week));
    let weeks = first.into_iter().chain(last);
    let parts = match of_links {
        None => divide(weeks, &links, &rows, limits, TakenRows::WeeksAndLinks),
        Some(of_links) => {
            let parts = divide(weeks, &Links::new(0), &rows, limits, TakenRows::WeeksWithoutLinks);
            std::iter::once(of_links).chain(parts).collect()
        }
    };
    Ok(PartPlan { parts, linked: links.groups.map(Arc::new), label, older_rows })
}

/// Divides weeks into parts, in order. `rows`: how many each week has in the tables that are read.
fn divide(
    weeks: impl IntoIterator<Item = Week>,
    links: &Links,
    rows: &BTreeMap<Week, u64>,
    limits: PartLimits,
    taken: TakenRows,
) -> Vec<WeekPart> {
    let sum = |rows: &BTreeMap<Week, u64>, weeks: &BTreeSet<Week>| -> u64 {
        weeks.iter().filter_map(|week| rows.get(week)).sum()
    };
    let mut parts: Vec<WeekPart> = Vec::new();
    for week in weeks {
        let own: BTreeSet<Week> = links.weeks.get(&week).into_iter().flatten().copied().chain([week]).collect();
        let mut part = WeekPart { weeks: BTreeSet::from([week]), sources: own, shares: 1, taken };
        if let Some(before) = parts.last() {
            let together: BTreeSet<Week> = before.weeks.union(&part.weeks).copied().collect();
            let sources: BTreeSet<Week> = before.sources.union(&part.sources).copied().collect();
            let are_few = match &links.groups {
                Some(_) => sum(rows, &together) + sum(&links.rows, &together) <= limits.rows,
                // A week that reads nothing more only adds rows, of which shares take a few at a time.
                None => sources.len() == before.sources.len() || sum(rows, &sources) <= limits.gathered_rows,
            };
            if are_few {
                parts.pop();
                part = WeekPart { weeks: together, sources, shares: 1, taken };
            }
        }
        let row_count = match &links.groups {
            Some(_) => sum(rows, &part.weeks) + sum(&links.rows, &part.weeks),
            None => sum(rows, &part.sources),
        };
        part.shares = row_count.div_ceil(limits.rows).max(1);
        parts.push(part);
    }
    parts
}

/// The SQL of the label of a code.
async fn label_of(label: &CodeLabel, session: &Session) -> Result<String, Error> {
    let (_, batches) = session.sql(label.known).await?;
    let mut cases = String::new();
    for batch in &batches {
        let codes = batch.column(0).as_primitive::<Int32Type>();
        let labels = text(batch.column(1))?;
        let labels = labels.as_string::<i32>();
        for row in (0..batch.num_rows()).filter(|row| codes.is_valid(*row) && labels.is_valid(*row)) {
            let _ = write!(cases, " WHEN {} THEN '{}'", codes.value(row), labels.value(row).replace('\'', "''"));
        }
    }
    Ok(match cases.is_empty() {
        true => "CAST(NULL AS VARCHAR)".to_owned(),
        false => format!("CASE {}{cases} END", label.code),
    })
}

/// The number that a text selects.
async fn count(session: &Session, sql: &str) -> Result<i64, Error> {
    let (_, batches) = session.sql(sql).await?;
    Ok(batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten()).sum())
}

/// The weeks that a text selects.
async fn weeks(session: &Session, sql: &str) -> Result<BTreeSet<Week>, Error> {
    let (_, batches) = session.sql(sql).await?;
    let days = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Date32Type>().iter().flatten());
    Ok(days.map(Week::of_day).collect())
}

/// A column of text.
fn text(column: &ArrayRef) -> Result<ArrayRef, Error> {
    cast(column, &DataType::Utf8).map_err(|error| Error::Run(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The week with that number, from 2025-06-01 on.
    fn week(number: i32) -> Week {
        Week::of_day(Week::parse("2025-06-01").unwrap().start_days() + 7 * number)
    }

    fn weeks(numbers: &[i32]) -> BTreeSet<Week> {
        numbers.iter().map(|number| week(*number)).collect()
    }

    fn part(of: &[i32], sources: &[i32], shares: u64) -> WeekPart {
        WeekPart { weeks: weeks(of), sources: weeks(sources), shares, taken: TakenRows::WeeksAndLinks }
    }

    fn limits(rows: u64, gathered_rows: u64) -> PartLimits {
        PartLimits { rows, gathered_rows, ..PartLimits::default() }
    }

    #[test]
    fn weeks_are_made_together_while_they_take_few_rows() {
        let rows: BTreeMap<Week, u64> = (0..6).map(|number| (week(number), 10)).collect();
        let mut links = Links::new(4);
        links.add(1, &weeks(&[0, 3]), 2);
        let of = |links: &Links, numbers: &[i32], limits| {
            divide(numbers.iter().map(|number| week(*number)), links, &rows, limits, TakenRows::WeeksAndLinks)
        };
        assert_eq!(of(&links, &[5, 4, 3], limits(40, 40)), [part(&[5, 4, 3], &[5, 4, 3, 0], 1)]);
        assert_eq!(of(&links, &[5, 4, 3], limits(30, 40)), [part(&[5, 4], &[5, 4], 1), part(&[3], &[3, 0], 1)]);
        assert_eq!(of(&links, &[5, 4], limits(5, 40)), [part(&[5], &[5], 2), part(&[4], &[4], 2)], "a week in shares");
        assert!(of(&links, &[], limits(40, 40)).is_empty());
        // Where too many groups link weeks, a part reads everything: all linked weeks are made together.
        links.add(2, &weeks(&[0, 1, 2, 3, 4, 5]), 60);
        assert_eq!(links.groups, None);
        let all = [0, 1, 2, 3, 4, 5];
        let everything = of(&links, &all, limits(20, 30));
        assert_eq!(everything, [part(&all, &all, 3)]);
    }
}
