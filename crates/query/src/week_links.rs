//! The groups of rows that link weeks: those with rows in several.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Date32Type, UInt64Type};
use copilot_lake_tables::Week;
use datafusion::common::{HashMap, HashSet};
use futures::TryStreamExt as _;

use crate::error::Error;
use crate::row_groups::RowGroups;
use crate::session::Session;

/// Memory that a group with rows in one week takes while its weeks are looked for, at most; more weeks take a little more.
pub(crate) const GROUP_MEMORY: u64 = 112;

/// The groups that link weeks, by their hashes.
#[derive(Debug)]
pub(crate) struct Links {
    /// The linked weeks of each week: those in which one of its groups has rows.
    pub(crate) weeks: BTreeMap<Week, BTreeSet<Week>>,
    /// The groups with rows in several weeks; `None`: they have too many rows.
    pub(crate) groups: Option<HashSet<u64>>,
    /// The rows of these groups, by each of their weeks.
    pub(crate) rows: BTreeMap<Week, u64>,
    /// The rows of all of them.
    pub(crate) all_rows: u64,
    /// How many rows they may have.
    limit: u64,
}

/// Where a group has rows.
#[derive(Debug, Default)]
struct GroupWeeks {
    rows: u32,
    /// The first week that was found, unless none was.
    first: Option<Week>,
    /// The others: most groups have none.
    others: Vec<Week>,
}

impl GroupWeeks {
    fn add(&mut self, week: Week) {
        let first = *self.first.get_or_insert(week);
        if week != first && !self.others.contains(&week) {
            self.others.push(week);
        }
    }

    fn weeks(self) -> BTreeSet<Week> {
        self.others.into_iter().chain(self.first).collect()
    }
}

impl Links {
    /// None yet. `limit`: how many rows groups that are kept may have.
    pub(crate) fn new(limit: u64) -> Self {
        Self { weeks: BTreeMap::new(), groups: Some(HashSet::new()), rows: BTreeMap::new(), all_rows: 0, limit }
    }

    /// Adds a group with rows in these weeks.
    pub(crate) fn add(&mut self, group: u64, weeks: &BTreeSet<Week>, rows: u64) {
        for week in weeks {
            self.weeks.entry(*week).or_default().extend(weeks);
        }
        let Some(groups) = &mut self.groups else { return };
        if weeks.len() > 1 && groups.insert(group) {
            self.all_rows += rows;
            for week in weeks {
                *self.rows.entry(*week).or_default() += rows;
            }
            if self.all_rows > self.limit {
                self.groups = None;
            }
        }
    }

    /// Adds the groups that have rows in these weeks. Also those of which only stored rows know that they had rows there.
    /// `are_few`: there is memory for all of their groups; else those of several weeks are found in a pass of its own, and only
    /// they take memory. Only keys and weeks are read, those of all rows.
    pub(crate) async fn add_groups(
        &mut self,
        groups: &RowGroups,
        session: &Session,
        weeks: &BTreeSet<Week>,
        are_few: bool,
    ) -> Result<(), Error> {
        let mut found = HashMap::<u64, GroupWeeks>::new();
        let mut chosen = session.rows(&groups.groups_sql(weeks, are_few)).await?;
        while let Some(batch) = chosen.batches.try_next().await? {
            let hashes = batch.column(0).as_primitive::<UInt64Type>().values();
            found.extend(hashes.iter().map(|hash| (*hash, GroupWeeks::default())));
        }
        if found.is_empty() {
            return Ok(());
        }
        let mut rows = session.rows(&groups.group_weeks_sql()).await?;
        while let Some(batch) = rows.batches.try_next().await? {
            let hashes = batch.column(0).as_primitive::<UInt64Type>().values();
            let of_rows = [1, 2, 3].map(|at| batch.column(at).as_primitive::<Date32Type>());
            for (row, hash) in hashes.iter().enumerate() {
                let Some(group) = found.get_mut(hash) else { continue };
                group.rows = group.rows.saturating_add(1);
                for week in of_rows.iter().filter(|weeks| weeks.is_valid(row)) {
                    group.add(Week::of_day(week.value(row)));
                }
            }
        }
        for (hash, group) in found {
            let rows = u64::from(group.rows);
            self.add(hash, &group.weeks(), rows);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_little_memory_until_it_has_a_second_week() {
        // A hash table is nearly half empty once it has grown.
        assert!(size_of::<(u64, GroupWeeks)>() as u64 * 2 < GROUP_MEMORY);
        let week = Week::parse("2025-06-01").unwrap();
        let mut group = GroupWeeks::default();
        assert!(GroupWeeks::default().weeks().is_empty());
        for week in [week, week, week.next(), week] {
            group.add(week);
        }
        assert_eq!(group.weeks(), BTreeSet::from([week, week.next()]));
    }
}
