//! The rows of materialized views: which weeks are out of date when rows have changed, and what belongs into them.
//!
//! A row of a view is made from a group of rows, such as those of one request, which may lie in several weeks. A change in
//! one week makes all weeks stale in which its groups have rows, or had a row of the view. Too many weeks are harmless:
//! a row that comes out equal is not written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch, is_not_null, is_null};
use arrow::datatypes::Date32Type;
use copilot_lake_tables::{CALENDAR, COPILOT_INTERACTION, COPILOT_REQUEST, M365_TURN, Origin, Table, WEEK_START, Week};
use copilot_lake_writer::Lake;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::error::Error;
use crate::session::Session;
use crate::shipped;

/// Memory for sorts and aggregates before they spill to temporary files.
const MEMORY: usize = 512 << 20;

/// How the rows of a view hang together.
struct RowGroups {
    view: &'static Table,
    /// SQL of `group_key` and `week_start`, for every row that the view reads; rows without a key are their own group.
    grouped: &'static str,
    /// SQL of the key of a stored row's group.
    stored_key: &'static str,
    /// The columns of a stored row that say in which weeks the first and the last row of its group are.
    span: (&'static str, &'static str),
    /// SQL of further weeks whose stored rows are stale, if there may be some.
    also: &'static str,
    /// A table whose rows may change what those of any week of the other one mean.
    reaching: Option<(&'static str, &'static Table)>,
    /// SQL of what a stored row has in `row_time`, or in the time column of a table without weeks. In microseconds:
    /// nanoseconds, which a type without precision means, end in the years 1677 and 2262.
    time: (&'static str, &'static str),
}

/// The views. Rows without a request may be the same interaction as one of the other store, whatever its week: while the
/// older store has rows, all of them are one group.
static VIEWS: &[RowGroups] = &[
    RowGroups {
        view: &COPILOT_REQUEST,
        grouped: "SELECT coalesce(nullif(msdyn_scenariorequestid, ''), CASE WHEN older_rows > 0 THEN '' END) AS group_key, \
                    week_start \
                  FROM (SELECT msdyn_scenariorequestid, msdyn_interactiontype, week_start FROM msdyn_copilotevent \
                        UNION ALL \
                        SELECT msdyn_scenariorequestid, msdyn_interactiontype, week_start \
                        FROM msdyn_copilotinteraction) AS row_of \
                  CROSS JOIN (SELECT count(*) AS older_rows FROM msdyn_copilotinteraction) AS older \
                  WHERE msdyn_interactiontype IS DISTINCT FROM 100230309 \
                  UNION ALL \
                  SELECT request_id, week_start FROM transcript_message WHERE request_id <> ''",
        stored_key: "coalesce(request_id, '')",
        span: ("first_week", "last_week"),
        also: "SELECT stored.week_start FROM stored_copilot_request AS stored \
               LEFT JOIN (SELECT scenario, max(scenario_label) AS scenario_label FROM copilot_activity GROUP BY scenario) \
                 AS label ON label.scenario = stored.scenario \
               WHERE label.scenario_label IS DISTINCT FROM stored.scenario_label",
        reaching: Some(("msdyn_copilotinteractiondata", &COPILOT_INTERACTION)),
        time: (
            "row_time",
            "coalesce(first_response_at, first_row_at, CAST(week_start AS TIMESTAMP(6) WITH TIME ZONE))",
        ),
    },
    RowGroups {
        view: &M365_TURN,
        grouped: "SELECT user_id || '/' || session_id || '/' || request_id AS group_key, week_start \
                  FROM ai_interaction WHERE request_id <> ''",
        stored_key: "user_id || '/' || session_id || '/' || turn_key",
        span: (WEEK_START, "last_week"),
        also: "",
        reaching: None,
        time: ("row_time", "coalesce(started_at, CAST(week_start AS TIMESTAMP(6) WITH TIME ZONE))"),
    },
    RowGroups {
        view: &CALENDAR,
        grouped: "",
        stored_key: "",
        span: ("", ""),
        also: "",
        reaching: None,
        time: ("starts_at", "CAST(date AS TIMESTAMP(6) WITH TIME ZONE)"),
    },
];

/// The stale part of a view, as it should be.
pub struct FreshRows {
    /// The weeks that were stale; none in a view without weeks, which is made as a whole.
    pub weeks: BTreeSet<Week>,
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

/// What a materialized view lacks after the rows that it is made from have changed. `changed`: the weeks, by table, whose
/// rows may be others than those that it was made from; under the view's own name the weeks of which stored rows may have
/// been lost.
///
/// # Errors
/// Reading the lake.
pub async fn fresh_rows(
    lake: &Lake,
    view: &'static Table,
    changed: &BTreeMap<&'static str, BTreeSet<Week>>,
) -> Result<FreshRows, Error> {
    let Some(groups) = VIEWS.iter().find(|groups| groups.view.name == view.name) else {
        return Err(Error::Run(format!("table {} is no view", view.name)));
    };
    let session = Session::without_views(lake, MEMORY).await?;
    let Some(shipped) = shipped::view(view.name) else {
        return Err(Error::Run(format!("view {} is not shipped", view.name)));
    };
    session.register(shipped).await?;
    session.register_files(&groups.stored(), view, lake.files(view).await?)?;
    let weeks = match view.is_partitioned() {
        true => groups.stale_weeks(lake, &session, changed).await?,
        false => BTreeSet::new(),
    };
    if view.is_partitioned() && weeks.is_empty() {
        return Ok(FreshRows { weeks, batches: futures::stream::empty().boxed() });
    }
    let rows = session.rows(&groups.fresh_sql(&weeks)).await?;
    let batches = rows
        .batches
        .map(move |batch| split(view, &batch?))
        .map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok::<_, Error>)));
    Ok(FreshRows { weeks, batches: batches.try_flatten().boxed() })
}

impl RowGroups {
    /// The name under which a session has the rows of the view as they are stored.
    fn stored(&self) -> String {
        format!("stored_{}", self.view.name)
    }

    /// The weeks of the view in which a row may have changed.
    async fn stale_weeks(
        &self,
        lake: &Lake,
        session: &Session,
        changed: &BTreeMap<&'static str, BTreeSet<Week>>,
    ) -> Result<BTreeSet<Week>, Error> {
        let mut stale: BTreeSet<Week> = changed.values().flatten().copied().collect();
        if let Some((table, reached)) = self.reaching
            && changed.get(table).is_some_and(|weeks| !weeks.is_empty())
        {
            stale.extend(lake.weeks(reached).await?);
        }
        let mut all = BTreeSet::from_iter(lake.weeks(self.view).await?);
        for table in self.view.view_of().into_iter().flatten().filter_map(|name| copilot_lake_tables::table(name)) {
            all.extend(lake.weeks(table).await?);
        }
        if stale.is_empty() || stale.is_superset(&all) {
            return Ok(stale);
        }
        let (_, batches) = session.sql(&self.stale_sql(&stale)).await?;
        for batch in batches {
            let weeks = batch.column(0).as_primitive::<Date32Type>();
            stale.extend(weeks.iter().flatten().map(Week::of_day));
        }
        Ok(stale)
    }

    /// The weeks in which groups have rows that also have some in changed weeks.
    fn stale_sql(&self, changed: &BTreeSet<Week>) -> String {
        let Self { grouped, stored_key, span: (first, last), also, .. } = self;
        let meets = ranges(changed)
            .into_iter()
            .map(|(from, to)| format!("({first} <= DATE '{to}' AND {last} >= DATE '{from}')"));
        let meets = meets.collect::<Vec<_>>().join(" OR ");
        let (changed, stored) = (listed(changed), self.stored());
        let also = if also.is_empty() { String::new() } else { format!(" UNION {also}") };
        format!(
            "WITH grouped AS ({grouped}), \
             touched AS (SELECT group_key FROM grouped WHERE week_start IN ({changed}) \
               UNION SELECT {stored_key} FROM {stored} WHERE {meets}) \
             SELECT week_start FROM grouped JOIN touched ON touched.group_key = grouped.group_key \
             UNION SELECT week_start FROM {stored} WHERE {meets}{also}"
        )
    }

    /// The rows of these weeks beside the keys of those that are stored there: either may be missing.
    fn fresh_sql(&self, weeks: &BTreeSet<Week>) -> String {
        let Self { view, time: (time_column, time), .. } = self;
        let (mut columns, mut keys, mut equal) = (String::new(), String::new(), String::new());
        for field in view.layout().fields() {
            let name = field.name.as_str();
            match field.origin {
                Origin::ExtractedAt => {}
                _ if name == *time_column => {
                    let _ = write!(columns, "{time} AS {name}, ");
                }
                _ => {
                    let _ = write!(columns, "{name}, ");
                }
            }
        }
        for key in view.key {
            let _ = write!(keys, "{key} AS stored_{key}, ");
            let _ = write!(equal, "{}made.{key} = stored.stored_{key}", if equal.is_empty() { "" } else { " AND " });
        }
        let (week, chosen) = match view.is_partitioned() {
            true => (WEEK_START, format!("WHERE {WEEK_START} IN ({})", listed(weeks))),
            false => ("CAST(NULL AS DATE) AS week_start", String::new()),
        };
        format!(
            "SELECT * FROM (SELECT {columns}{week} FROM {} {chosen}) AS made \
             FULL JOIN (SELECT {keys}1 AS is_stored FROM {} {chosen}) AS stored ON {equal}",
            view.name,
            self.stored()
        )
    }
}

/// The weeks as a list of literals.
fn listed(weeks: &BTreeSet<Week>) -> String {
    weeks.iter().map(|week| format!("DATE '{week}'")).collect::<Vec<_>>().join(", ")
}

/// Weeks that follow each other, as the first and the last of each series.
fn ranges(weeks: &BTreeSet<Week>) -> Vec<(Week, Week)> {
    let mut found: Vec<(Week, Week)> = Vec::new();
    for &week in weeks {
        match found.last_mut() {
            Some((_, last)) if last.next() == week => *last = week,
            _ => found.push((week, week)),
        }
    }
    found
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

    #[test]
    fn every_materialized_view_is_known() {
        for table in copilot_lake_tables::views() {
            let groups = VIEWS.iter().find(|groups| groups.view.name == table.name).unwrap();
            assert!(crate::VIEWS.iter().any(|view| view.name == table.name), "{}", table.name);
            assert!(table.layout().position(groups.time.0).is_some(), "{}", table.name);
            assert_eq!(groups.grouped.is_empty(), !table.is_partitioned(), "{}", table.name);
        }
    }

    #[test]
    fn weeks_in_a_row_are_one_range() {
        let weeks = |texts: &[&str]| texts.iter().map(|text| Week::parse(text).unwrap()).collect::<BTreeSet<_>>();
        let found = ranges(&weeks(&["2025-06-01", "2025-06-08", "2025-06-15", "2025-06-29"]));
        let found: Vec<_> = found.iter().map(|(from, to)| format!("{from} {to}")).collect();
        assert_eq!(found, ["2025-06-01 2025-06-15", "2025-06-29 2025-06-29"]);
        assert!(ranges(&BTreeSet::new()).is_empty());
    }
}
