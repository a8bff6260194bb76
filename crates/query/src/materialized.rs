//! The rows of materialized views: which weeks are out of date when rows have changed, and what belongs in them.
//!
//! A change in one week makes all rows of that week stale, and in other weeks those of its groups that have rows there, or
//! had a row of the view. Too many are harmless: a row that comes out equal is not written. Of a large lake, the stale weeks
//! are made part by part, each from the files of the weeks that it takes, and a large week in shares of its groups: joins hold
//! their rows in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch, is_not_null, is_null};
use arrow::datatypes::Date32Type;
use copilot_lake_tables::{Table, WEEK_START, Week};
use copilot_lake_writer::Lake;
use datafusion::common::HashSet;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::Error;
use crate::fresh_part::{FreshBatch, FreshPart};
use crate::one_ahead::one_ahead;
use crate::part_rows::{PartRows, TakenRows};
use crate::row_groups::RowGroups;
use crate::session::Session;
use crate::shipped;
use crate::week_parts::{PartLimits, PartPlan, WeekPart, plan};

/// What a materialized view lacks after the rows that it is made from have changed. `changed`: the weeks, by table, whose
/// rows may be others than those that it was made from; under the view's own name the weeks of which stored rows may have
/// been lost.
///
/// The parts are made one after the other, or two at a time where none depends on what is stored. Weeks in which no row has
/// changed that the view is made from come first: once one of the others is made, nothing else lacks what changed there.
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
    let PartPlan { parts, linked, label, older_rows } = match view.is_partitioned() {
        true => plan(lake, groups, changed, limits).await?,
        false => PartPlan {
            parts: vec![WeekPart {
                weeks: BTreeSet::new(),
                sources: BTreeSet::new(),
                shares: 1,
                taken: TakenRows::WeeksAndLinks,
            }],
            linked: None,
            label: None,
            older_rows: 0,
        },
    };
    let count = parts.len();
    let stored: BTreeSet<Week> = lake.weeks(view).await?.into_iter().collect();
    // Other rows than those that are stored in its weeks have nothing to do with what the part before commits.
    let are_independent = parts.iter().skip(1).all(|part| part.weeks.is_disjoint(&stored));
    let maker = Arc::new(PartMaker { lake: lake.clone(), groups, linked, label, older_rows, limits });
    let parts = parts.into_iter().enumerate().map(move |(at, part)| maker.part(part, at + 1 == count));
    Ok(match are_independent {
        true => one_ahead(parts),
        false => stream::iter(parts).map(Ok).boxed(),
    })
}

/// Makes the parts of a view.
struct PartMaker {
    lake: Lake,
    groups: &'static RowGroups,
    /// The hashes of linked groups; `None`: a part takes all rows of the weeks that it reads.
    linked: Option<Arc<HashSet<u64>>>,
    label: Option<String>,
    /// What [`RowGroups::older_rows`] counts.
    older_rows: i64,
    limits: PartLimits,
}

impl PartMaker {
    /// A part, whose shares are made one after the other while its rows are read.
    fn part(self: &Arc<Self>, WeekPart { weeks, sources, shares, taken }: WeekPart, is_last: bool) -> FreshPart {
        let (maker, own, sources) = (Arc::clone(self), Arc::new(weeks.clone()), Arc::new(sources));
        let batches = stream::iter(0..shares).then(move |share| {
            let (maker, own, sources) = (Arc::clone(&maker), Arc::clone(&own), Arc::clone(&sources));
            async move {
                let groups = maker.linked.clone().unwrap_or_default();
                let weeks = maker.linked.is_some().then(|| Arc::clone(&own));
                // All rows of linked groups are made at once: one may move from one of their weeks to another.
                let made = if taken == TakenRows::Links { &sources } else { &own };
                maker.share(made, &sources, PartRows { taken, weeks, groups, share, shares }).await
            }
        });
        FreshPart { weeks, is_last, batches: batches.try_flatten().boxed() }
    }

    /// Makes what these rows give in some weeks, from the files of the weeks that the part reads.
    async fn share(
        &self,
        weeks: &BTreeSet<Week>,
        sources: &BTreeSet<Week>,
        rows: PartRows,
    ) -> Result<BoxStream<'static, Result<FreshBatch, Error>>, Error> {
        let Self { lake, groups, .. } = self;
        let view = groups.view;
        let Some(shipped) = shipped::view(view.name) else {
            return Err(Error::Run(format!("view {} is not shipped", view.name)));
        };
        let is_everywhere = |table: &Table| {
            !view.is_partitioned() || groups.cross_week_join.is_some_and(|join| join.from == table.name)
        };
        let is_among = |weeks: &BTreeSet<Week>, week: Option<Week>| week.is_none_or(|week| weeks.contains(&week));
        let is_read = |table: &Table, week| is_everywhere(table) || is_among(sources, week);
        let session = Session::over_files(lake, self.limits.query_memory(), is_read).await?;
        let mut stored = lake.files(view).await?;
        stored.retain(|file| !view.is_partitioned() || is_among(weeks, file.week));
        session.register_files(&groups.stored_name(), view, stored)?;
        if rows.leaves_out_some_of(sources) {
            session.register_part(rows);
            session.register_sql("older", &RowGroups::older_rows_sql(self.older_rows)).await?;
            for (table, all, sql) in groups.part_rows_sql() {
                session.restrict(table, &all, &sql).await?;
            }
        }
        session.register(shipped).await?;
        let rows = session.rows(&groups.fresh_sql(weeks, self.label.as_deref())).await?;
        let batches = rows
            .batches
            .map(move |batch| split(view, &batch?))
            .map_ok(|parts| stream::iter(parts.into_iter().map(Ok::<_, Error>)));
        Ok(batches.try_flatten().boxed())
    }
}

/// Splits a batch into the rows of each week, and the keys of stored rows that the view no longer has.
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
