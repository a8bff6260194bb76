//! The rows of materialized views: which weeks are out of date when rows have changed, and what belongs into them.
//!
//! A change in one week makes all weeks stale in which its groups of rows have rows, or had a row of the view. Too many
//! weeks are harmless: a row that comes out equal is not written. Of a large lake, the stale weeks are made part by part,
//! each from the files of the weeks that it takes: joins hold their rows in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast, cast_with_options, filter_record_batch, is_not_null, is_null};
use arrow::datatypes::{DataType, Date32Type, Int32Type};
use copilot_lake_tables::{Table, WEEK_START, Week};
use copilot_lake_writer::Lake;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::Error;
use crate::row_groups::{CodeLabel, CrossWeekJoin, RowGroups, StandIns};
use crate::session::Session;
use crate::shipped;

/// How much is made at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimits {
    /// Memory for sorts and aggregates before they spill to temporary files, and for joins, which do not.
    pub(crate) memory: usize,
    /// Rows of the tables from which a part is made, unless one week takes more.
    pub(crate) rows: u64,
}

impl Default for PartLimits {
    fn default() -> Self {
        Self { memory: 512 << 20, rows: 1_000_000 }
    }
}

/// Some of the stale weeks of a view, as they should be.
pub struct FreshPart {
    /// The weeks; none in a view without weeks, which is made as a whole.
    pub weeks: BTreeSet<Week>,
    /// Whether no other part follows.
    pub is_last: bool,
    /// Their rows. An error ends them.
    pub batches: BoxStream<'static, Result<FreshBatch, Error>>,
}

/// Some rows of a view.
pub struct FreshBatch {
    /// The week of the rows; `None` in a view without weeks.
    pub week: Option<Week>,
    /// Rows with exactly the table's schema; `extracted_at` is null.
    pub rows: RecordBatch,
    /// The keys of stored rows that the view has no more; maybe none.
    pub removed: RecordBatch,
}

/// Memory that the key of a group takes while joins hold it, at most.
const KEY_MEMORY: u64 = 256;

/// Weeks in which a group has rows, by each of them.
type WeekLinks = BTreeMap<Week, BTreeSet<Week>>;

/// Weeks of a view that are made together.
#[derive(Debug, PartialEq, Eq)]
struct WeekPart {
    weeks: BTreeSet<Week>,
    /// The weeks whose rows it takes.
    sources: BTreeSet<Week>,
}

/// What a materialized view lacks after the rows that it is made from have changed. `changed`: the weeks, by table, whose
/// rows may be others than those that it was made from; under the view's own name the weeks of which stored rows may have
/// been lost.
///
/// The parts are made one after the other. Weeks in which no row has changed that the view is made from come first: once
/// one of the others is made, nothing else lacks what changed there.
///
/// # Errors
/// Reading the lake.
pub async fn fresh_parts(
    lake: &Lake,
    view: &'static Table,
    changed: &BTreeMap<&'static str, BTreeSet<Week>>,
) -> Result<BoxStream<'static, Result<FreshPart, Error>>, Error> {
    parts_within(lake, view, changed, PartLimits::default()).await
}

/// [`fresh_parts`] within limits.
pub(crate) async fn parts_within(
    lake: &Lake,
    view: &'static Table,
    changed: &BTreeMap<&'static str, BTreeSet<Week>>,
    limits: PartLimits,
) -> Result<BoxStream<'static, Result<FreshPart, Error>>, Error> {
    let Some(groups) = RowGroups::of_view(view) else {
        return Err(Error::Run(format!("table {} is no view", view.name)));
    };
    let (parts, label) = match view.is_partitioned() {
        true => plan(lake, groups, changed, limits).await?,
        false => (vec![WeekPart { weeks: BTreeSet::new(), sources: BTreeSet::new() }], None),
    };
    let (lake, count) = (lake.clone(), parts.len());
    let parts = stream::iter(parts.into_iter().enumerate()).then(move |(at, part)| {
        let (lake, label) = (lake.clone(), label.clone());
        async move {
            let made = make(&lake, groups, part, label.as_deref(), limits.memory).await?;
            Ok::<_, Error>(FreshPart { is_last: at + 1 == count, ..made })
        }
    });
    Ok(parts.boxed())
}

/// The parts in which the stale weeks of a view are made, and the SQL of its labels.
async fn plan(
    lake: &Lake,
    groups: &'static RowGroups,
    changed: &BTreeMap<&'static str, BTreeSet<Week>>,
    limits: PartLimits,
) -> Result<(Vec<WeekPart>, Option<String>), Error> {
    let view = groups.view;
    let session = Session::over_files(lake, limits.memory, |_, _| true).await?;
    session.register_files(&groups.stored_name(), view, lake.files(view).await?)?;
    let label = match &groups.label {
        Some(label) => Some(label_of(label, &session).await?),
        None => None,
    };
    let mut stale: BTreeSet<Week> = changed.values().flatten().copied().collect();
    if let Some(CrossWeekJoin { from, to }) = groups.cross_week_join
        && changed.get(from).is_some_and(|weeks| !weeks.is_empty())
    {
        stale.extend(lake.weeks(to).await?);
    }
    if let Some(StandIns { table, weeks: of_rows }) = &groups.stand_ins
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
    let mut links = WeekLinks::new();
    if stale.is_superset(&all) {
        // A first run of few rows is made at once, whatever hangs together.
        if rows.values().sum::<u64>() > limits.rows {
            add_links(&mut links, groups, &session, None).await?;
        }
    } else if !stale.is_empty() {
        // The keys of few weeks are held in memory; of many, the groups of several weeks are counted out.
        let are_few = |weeks: &BTreeSet<Week>| {
            let keys = weeks.iter().filter_map(|week| rows.get(week)).sum::<u64>();
            keys.saturating_mul(KEY_MEMORY) <= limits.memory as u64 / 2
        };
        let of_stale = are_few(&stale).then_some(&stale);
        add_links(&mut links, groups, &session, of_stale).await?;
        let mut more: BTreeSet<Week> = stale.iter().filter_map(|week| links.get(week)).flatten().copied().collect();
        more.extend(weeks(&session, &groups.made_from_sql(&stale)).await?);
        if let Some(sql) = label.as_deref().and_then(|label| groups.relabelled_sql(label)) {
            more.extend(weeks(&session, &sql).await?);
        }
        more.retain(|week| !stale.contains(week));
        // What is made there takes the rows of its other groups, too.
        if of_stale.is_some() && !more.is_empty() {
            add_links(&mut links, groups, &session, are_few(&more).then_some(&more)).await?;
        }
        stale.extend(more);
    }
    // The newest weeks are asked for most.
    let of_sources = changed.iter().filter(|(table, _)| **table != view.name);
    let of_sources: BTreeSet<Week> = of_sources.flat_map(|(_, weeks)| weeks).copied().collect();
    let (last, first): (Vec<_>, Vec<_>) = stale.into_iter().rev().partition(|week| of_sources.contains(week));
    Ok((divide(first.into_iter().chain(last), &links, &rows, limits.rows), label))
}

/// Divides weeks into parts, in order. `rows`: how many each week has in the tables that are read.
fn divide(
    weeks: impl IntoIterator<Item = Week>,
    links: &WeekLinks,
    rows: &BTreeMap<Week, u64>,
    limit: u64,
) -> Vec<WeekPart> {
    let count = |weeks: &BTreeSet<Week>| weeks.iter().filter_map(|week| rows.get(week)).sum::<u64>();
    let mut parts: Vec<WeekPart> = Vec::new();
    for week in weeks {
        let own: BTreeSet<Week> = links.get(&week).into_iter().flatten().copied().chain([week]).collect();
        if let Some(part) = parts.last_mut() {
            let sources: BTreeSet<Week> = part.sources.union(&own).copied().collect();
            let together: BTreeSet<Week> = part.weeks.iter().copied().chain([week]).collect();
            // Where everything hangs together, weeks that take nothing more are not made by themselves.
            let is_small = count(&sources) <= limit || sources.len() == part.sources.len();
            if is_small && count(&together) <= limit {
                *part = WeekPart { weeks: together, sources };
                continue;
            }
        }
        parts.push(WeekPart { weeks: BTreeSet::from([week]), sources: own });
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

/// Adds what these weeks hang together with, or all weeks. Only keys and weeks are read.
async fn add_links(
    links: &mut WeekLinks,
    groups: &RowGroups,
    session: &Session,
    weeks: Option<&BTreeSet<Week>>,
) -> Result<(), Error> {
    let (mut group, mut of_group) = (String::new(), BTreeSet::new());
    let mut rows = session.rows(&groups.links_sql(weeks)).await?;
    while let Some(batch) = rows.batches.try_next().await? {
        let keys = text(batch.column(0))?;
        let weeks = batch.column(1).as_primitive::<Date32Type>();
        for (row, key) in keys.as_string::<i32>().iter().enumerate() {
            let key = key.unwrap_or_default();
            if key != group {
                link(links, &std::mem::take(&mut of_group));
                key.clone_into(&mut group);
            }
            if weeks.is_valid(row) {
                of_group.insert(Week::of_day(weeks.value(row)));
            }
        }
    }
    link(links, &of_group);
    Ok(())
}

/// Adds the weeks of a group.
fn link(links: &mut WeekLinks, of_group: &BTreeSet<Week>) {
    for week in of_group {
        links.entry(*week).or_default().extend(of_group);
    }
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

/// Makes a part of a view, from the files of the weeks that it takes.
async fn make(
    lake: &Lake,
    groups: &'static RowGroups,
    WeekPart { weeks, sources }: WeekPart,
    label: Option<&str>,
    memory: usize,
) -> Result<FreshPart, Error> {
    let view = groups.view;
    let Some(shipped) = shipped::view(view.name) else {
        return Err(Error::Run(format!("view {} is not shipped", view.name)));
    };
    let is_everywhere =
        |table: &Table| !view.is_partitioned() || groups.cross_week_join.is_some_and(|join| join.from == table.name);
    let is_among = |weeks: &BTreeSet<Week>, week: Option<Week>| week.is_none_or(|week| weeks.contains(&week));
    let session =
        Session::over_files(lake, memory, |table, week| is_everywhere(table) || is_among(&sources, week)).await?;
    session.register(shipped).await?;
    let mut stored = lake.files(view).await?;
    stored.retain(|file| !view.is_partitioned() || is_among(&weeks, file.week));
    session.register_files(&groups.stored_name(), view, stored)?;
    let rows = session.rows(&groups.fresh_sql(&weeks, label)).await?;
    let batches = rows
        .batches
        .map(move |batch| split(view, &batch?))
        .map_ok(|parts| stream::iter(parts.into_iter().map(Ok::<_, Error>)));
    Ok(FreshPart { weeks, is_last: false, batches: batches.try_flatten().boxed() })
}

/// Tells the rows of a batch by week, and apart from keys of rows that are no more.
fn split(view: &'static Table, batch: &RecordBatch) -> Result<Vec<FreshBatch>, Error> {
    let run = |error: arrow::error::ArrowError| Error::Run(format!("view {}: {error}", view.name));
    let layout = view.layout();
    let column = |name: &str| -> Result<ArrayRef, Error> {
        let column = batch.column_by_name(name).cloned();
        column.ok_or_else(|| Error::Run(format!("view {}: no column {name}", view.name)))
    };
    // The first column of the key is null where only the stored row is there.
    let first_key = column(view.key[0])?;
    let (is_made, is_removed) = (is_not_null(&first_key).map_err(run)?, is_null(&first_key).map_err(run)?);

    let mut keys: Vec<(String, ArrayRef)> = Vec::new();
    for name in view.key {
        keys.push(((*name).to_owned(), column(&format!("stored_{name}"))?));
    }
    let removed = RecordBatch::try_from_iter(keys).map_err(run)?;
    let removed = filter_record_batch(&removed, &is_removed).map_err(run)?;

    let made = filter_record_batch(batch, &is_made).map_err(run)?;
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let arrays = layout.fields().iter().map(|field| {
        let ty = field.ty.data_type();
        match made.column_by_name(&field.name) {
            Some(array) => cast_with_options(array, &ty, &options),
            None => Ok(new_null_array(&ty, made.num_rows())),
        }
    });
    let rows = RecordBatch::try_new(Arc::clone(layout.schema()), arrays.collect::<Result<_, _>>().map_err(run)?);
    let rows = rows.map_err(run)?;
    if !view.is_partitioned() {
        return Ok(vec![FreshBatch { week: None, rows, removed }]);
    }
    let weeks = made.column_by_name(WEEK_START).map(|weeks| weeks.as_primitive::<Date32Type>().clone());
    let weeks = weeks.unwrap_or_else(|| Date32Array::from(Vec::<i32>::new()));
    let mut parts = Vec::new();
    for week in weeks.iter().flatten().collect::<BTreeSet<_>>() {
        let of_week: BooleanArray = weeks.iter().map(|of_row| Some(of_row == Some(week))).collect();
        let rows = filter_record_batch(&rows, &of_week).map_err(run)?;
        parts.push(FreshBatch { week: Some(Week::of_day(week)), rows, removed: removed.slice(0, 0) });
    }
    if removed.num_rows() > 0 {
        parts.push(FreshBatch { week: None, rows: rows.slice(0, 0), removed });
    }
    Ok(parts)
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

    #[test]
    fn weeks_are_made_together_while_they_take_few_rows() {
        let rows: BTreeMap<Week, u64> = (0..6).map(|number| (week(number), 10)).collect();
        let mut links = WeekLinks::new();
        link(&mut links, &weeks(&[0, 3]));
        let part = |of: &[i32], sources: &[i32]| WeekPart { weeks: weeks(of), sources: weeks(sources) };
        let of = |numbers: &[i32], limit| divide(numbers.iter().map(|number| week(*number)), &links, &rows, limit);
        assert_eq!(of(&[5, 4, 3], 40), [part(&[5, 4, 3], &[5, 4, 3, 0])]);
        assert_eq!(of(&[5, 4, 3], 30), [part(&[5, 4], &[5, 4]), part(&[3], &[3, 0])]);
        assert_eq!(of(&[5, 4], 5), [part(&[5], &[5]), part(&[4], &[4])], "a week is the least");
        assert!(of(&[], 40).is_empty());
        // Where everything hangs together each part reads everything: there are as few as may be.
        link(&mut links, &weeks(&[0, 1, 2, 3, 4, 5]));
        let everything = divide((0..6).map(week), &links, &rows, 30);
        let all = [0, 1, 2, 3, 4, 5];
        assert_eq!(everything, [part(&[0, 1, 2], &all), part(&[3, 4, 5], &all)]);
    }
}
