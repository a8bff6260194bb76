//! A cursor over the rows that a query matches, in its order, from any position.

use std::ops::Range;

use copilot_lake_tables::{Column, Instant, Type};

use crate::data::json_fields::JsonFields;
use crate::data::row_snapshot::{RowSnapshot, TIME_COLUMNS};
use crate::dataverse::paging_cookie::LinkPosition;
use crate::dataverse::row_filter::{RowFilter, TimeRange};
use crate::dataverse::row_query::RowQuery;

/// Reads rows in steps from 0. Steps cover the time range; the rest of the filter skips some of them.
#[derive(Debug)]
pub(crate) struct RowCursor<'a> {
    rows: &'a RowSnapshot,
    order: CursorOrder,
    /// The filter without the time range.
    rest: Option<RowFilter>,
    /// Rows without a value in the time column, which match no range of it.
    skipped: &'a [u32],
}

#[derive(Debug)]
enum CursorOrder {
    Created(Range<usize>),
    Modified(Range<usize>),
    /// The matching rows, sorted.
    Listed(Vec<u32>),
}

impl<'a> RowCursor<'a> {
    /// The cursor of a query. Without an order, rows come by creation, or by modification if only that is filtered.
    ///
    /// As in OData, a null matches no range and sorts first.
    pub(crate) fn new(rows: &'a RowSnapshot, query: &RowQuery) -> Self {
        let has_nulls = |wire: &str| !TIME_COLUMNS.contains(&wire) || !rows.lacking(wire).is_empty();
        let filter = query.filter.as_ref().and_then(|filter| filter.simplified(&has_nulls));
        let narrow = |column| match &filter {
            Some(filter) => filter.narrow(column),
            None => (TimeRange::ALL, Vec::new()),
        };
        let (created, without_created) = narrow("createdon");
        let (modified, without_modified) = narrow("modifiedon");
        let bounded = |range| range != TimeRange::ALL;
        let time_column = match query.order.first() {
            Some(column) => column.wire,
            None if bounded(modified) && !bounded(created) => "modifiedon",
            None => "createdon",
        };
        let within = if time_column == "modifiedon" { modified } else { created };
        let nulls_come = !bounded(within) && !query.order.is_empty() && !rows.lacking(time_column).is_empty();
        let (order, rest) = if nulls_come {
            (CursorOrder::Listed(listed(rows, query, filter.as_ref())), Vec::new())
        } else if time_column == "modifiedon" {
            let start = rows.modified_before(modified.from);
            (CursorOrder::Modified(start..rows.modified_before(modified.until).max(start)), without_modified)
        } else {
            let start = rows.created_before(created.from);
            (CursorOrder::Created(start..rows.created_before(created.until).max(start)), without_created)
        };
        let skipped = if bounded(within) { rows.lacking(time_column) } else { &[] };
        let rest = rest.into_iter().reduce(RowFilter::and);
        Self { rows, order, rest, skipped }
    }

    fn range(&self) -> Range<usize> {
        match &self.order {
            CursorOrder::Created(range) | CursorOrder::Modified(range) => range.clone(),
            CursorOrder::Listed(listed) => 0..listed.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.range().len()
    }

    /// The row number of a step.
    pub(crate) fn row(&self, step: usize) -> usize {
        match &self.order {
            CursorOrder::Created(range) => range.start + step,
            CursorOrder::Modified(range) => self.rows.by_modified()[range.start + step] as usize,
            CursorOrder::Listed(listed) => listed[step] as usize,
        }
    }

    fn matches(&self, step: usize) -> bool {
        let row = self.row(step);
        self.skipped.binary_search(&(row as u32)).is_err() && matches(self.rows, row, self.rest.as_ref())
    }

    /// Up to `most` rows from a step on, and the step of the next match, if any.
    pub(crate) fn page(&self, from: usize, most: usize) -> (Vec<usize>, Option<usize>) {
        let mut taken = Vec::with_capacity(most.min(self.len()));
        for step in from..self.len() {
            if self.matches(step) {
                if taken.len() == most {
                    return (taken, Some(step));
                }
                taken.push(self.row(step));
            }
        }
        (taken, None)
    }

    /// Up to `most` rows as one contiguous run in order of creation, where they are one.
    pub(crate) fn contiguous(&self, from: usize, most: usize) -> Option<(Range<usize>, Option<usize>)> {
        let (CursorOrder::Created(range), None, []) = (&self.order, &self.rest, self.skipped) else { return None };
        let end = self.len().min(from.saturating_add(most));
        let from = from.min(end);
        Some((range.start + from..range.start + end, (end < self.len()).then_some(end)))
    }

    /// The position of a step, for a link. Positions stay valid when earlier rows change.
    pub(crate) fn position(&self, step: usize) -> LinkPosition {
        if matches!(self.order, CursorOrder::Listed(_)) {
            return LinkPosition { time: 0, ties: step };
        }
        let Some(time) = step.checked_sub(1).map(|last| self.time(self.row(last))) else {
            return LinkPosition { time: i64::MIN, ties: 0 };
        };
        LinkPosition { time, ties: self.range().start + step - self.before(time) }
    }

    /// The step of a position.
    pub(crate) fn step(&self, position: LinkPosition) -> usize {
        let step = match &self.order {
            CursorOrder::Listed(_) => position.ties,
            _ => (self.before(position.time) + position.ties).saturating_sub(self.range().start),
        };
        step.min(self.len())
    }

    fn time(&self, row: usize) -> i64 {
        if matches!(self.order, CursorOrder::Modified(_)) { self.rows.modified(row) } else { self.rows.created(row) }
    }

    fn before(&self, time: i64) -> usize {
        match self.order {
            CursorOrder::Modified(_) => self.rows.modified_before(time),
            CursorOrder::Created(_) | CursorOrder::Listed(_) => self.rows.created_before(time),
        }
    }
}

fn matches(rows: &RowSnapshot, at: usize, filter: Option<&RowFilter>) -> bool {
    let Some(filter) = filter else { return true };
    // Raw rows of a scenario need not be objects, and then match nothing.
    JsonFields::read(&rows.json(at)).is_ok_and(|fields| filter.matches(&fields))
}

/// The matching rows, sorted.
fn listed(rows: &RowSnapshot, query: &RowQuery, filter: Option<&RowFilter>) -> Vec<u32> {
    let mut listed: Vec<u32> = (0..rows.len()).filter(|at| matches(rows, *at, filter)).map(|at| at as u32).collect();
    listed.sort_by_cached_key(|at| {
        let json = rows.json(*at as usize);
        let fields = JsonFields::read(&json).ok();
        query.order.iter().map(|column| sort_key(fields.as_ref(), column)).collect::<Vec<_>>()
    });
    listed
}

/// The sort key of a value: nulls first. Columns are times and parts of keys.
fn sort_key(row: Option<&JsonFields<'_>>, column: &Column) -> Option<(Option<Instant>, String)> {
    let text = row?.text(column.wire)?;
    match column.ty {
        Type::Instant => Instant::parse(&text).map(|at| (Some(at), String::new())),
        _ => Some((None, text.to_lowercase())),
    }
}
