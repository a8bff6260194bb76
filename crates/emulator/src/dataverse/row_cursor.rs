//! The rows that a query matches, in its order, walked from any place.

use std::cmp::Ordering;
use std::ops::Range;

use copilot_lake_tables::{Column, Instant, Type};

use crate::data::json_fields::Fields;
use crate::data::table_rows::{CLOCKS, Rows};
use crate::dataverse::next_link::Place;
use crate::dataverse::query::Query;
use crate::dataverse::row_filter::Filter;

/// A walk over rows: steps from 0, each of them a row, some of which the rest of the filter leaves out.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    rows: &'a Rows,
    along: Along,
    descends: bool,
    /// What remains of the filter.
    rest: Option<Filter>,
    /// Rows that have no value of the clock stand among the others and match no range of it.
    skipped: &'a [u32],
}

#[derive(Debug)]
enum Along {
    Created(Range<usize>),
    Modified(Range<usize>),
    /// Matches in another order; none are left out any more.
    Listed(Vec<u32>),
}

impl<'a> Walk<'a> {
    /// The walk of a query. Without an order rows come by time of creation, or of modification when only that is filtered.
    ///
    /// As OData has it: a null matches no range, and comes first in ascending order.
    pub(crate) fn new(rows: &'a Rows, query: &Query) -> Self {
        let has_nulls = |wire: &str| !CLOCKS.contains(&wire) || !rows.lacking(wire).is_empty();
        let filter = query.filter.as_ref().and_then(|filter| filter.without_vain(&has_nulls));
        let narrow = |column| match &filter {
            Some(filter) => filter.narrow(column),
            None => (crate::dataverse::row_filter::Bounds::ALL, Vec::new()),
        };
        let (created, without_created) = narrow("createdon");
        let (modified, without_modified) = narrow("modifiedon");
        let bounded = |bounds| bounds != crate::dataverse::row_filter::Bounds::ALL;
        let clock = match query.order {
            Some((column, _)) => column.wire,
            None if bounded(modified) && !bounded(created) => "modifiedon",
            None => "createdon",
        };
        let descends = query.order.is_some_and(|(_, descends)| descends);
        let within = if clock == "modifiedon" { modified } else { created };
        let nulls_come = !bounded(within) && query.order.is_some();
        let (along, rest) = match clock {
            clock if CLOCKS.contains(&clock) && nulls_come && !rows.lacking(clock).is_empty() => {
                listed(rows, query, filter.as_ref())
            }
            "createdon" => {
                let start = rows.created_before(created.from);
                (Along::Created(start..rows.created_before(created.until).max(start)), without_created)
            }
            "modifiedon" => {
                let start = rows.modified_before(modified.from);
                (Along::Modified(start..rows.modified_before(modified.until).max(start)), without_modified)
            }
            _ => listed(rows, query, filter.as_ref()),
        };
        let skipped = if bounded(within) && !matches!(along, Along::Listed(_)) { rows.lacking(clock) } else { &[] };
        let rest = match rest.len() {
            0 => None,
            1 => rest.into_iter().next(),
            _ => Some(Filter::And(rest)),
        };
        // A list is in its final order.
        let descends = descends && !matches!(along, Along::Listed(_));
        Self { rows, along, descends, rest, skipped }
    }

    fn range(&self) -> Range<usize> {
        match &self.along {
            Along::Created(range) | Along::Modified(range) => range.clone(),
            Along::Listed(listed) => 0..listed.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.range().len()
    }

    /// How many rows match.
    pub(crate) fn count(&self) -> usize {
        match (&self.rest, self.skipped) {
            (None, []) => self.len(),
            _ => (0..self.len()).filter(|step| self.matches(*step)).count(),
        }
    }

    /// Where a step stands in its order.
    fn position(&self, step: usize) -> usize {
        let range = self.range();
        if self.descends { range.end - 1 - step } else { range.start + step }
    }

    /// The number of the row of a step.
    pub(crate) fn row(&self, step: usize) -> usize {
        let at = self.position(step);
        match &self.along {
            Along::Created(_) => at,
            Along::Modified(_) => self.rows.by_modified()[at] as usize,
            Along::Listed(listed) => listed[at] as usize,
        }
    }

    fn matches(&self, step: usize) -> bool {
        let row = self.row(step);
        self.skipped.binary_search(&(row as u32)).is_err() && matches(self.rows, row, self.rest.as_ref())
    }

    /// Up to `most` rows from a step on, and the step after the last of them; `None` when no more rows match.
    pub(crate) fn take(&self, from: usize, most: usize) -> (Vec<usize>, Option<usize>) {
        let mut taken = Vec::with_capacity(most.min(self.len()));
        let mut step = from;
        while step < self.len() {
            if self.matches(step) {
                if taken.len() == most {
                    return (taken, Some(step));
                }
                taken.push(self.row(step));
            }
            step += 1;
        }
        (taken, None)
    }

    /// The rows of `most` steps as one run in order of creation, when they are one.
    pub(crate) fn run(&self, from: usize, most: usize) -> Option<(Range<usize>, Option<usize>)> {
        let (Along::Created(range), false, None, []) = (&self.along, self.descends, &self.rest, self.skipped) else {
            return None;
        };
        let end = self.len().min(from.saturating_add(most));
        let from = from.min(end);
        Some((range.start + from..range.start + end, (end < self.len()).then_some(end)))
    }

    /// The place of a step, for a link; places outlive changes of the rows before them.
    pub(crate) fn place(&self, step: usize) -> Place {
        let start = if self.descends { i64::MAX } else { i64::MIN };
        if matches!(self.along, Along::Listed(_)) {
            return Place { time: 0, ties: step };
        }
        let Some(time) = step.checked_sub(1).map(|last| self.time(self.row(last))) else {
            return Place { time: start, ties: 0 };
        };
        let ties = match self.descends {
            false => self.range().start + step - self.before(time),
            true => self.before(time.saturating_add(1)) - (self.range().end - step),
        };
        Place { time, ties }
    }

    /// The step of a place.
    pub(crate) fn step(&self, place: Place) -> usize {
        let range = self.range();
        let step = match (&self.along, self.descends) {
            (Along::Listed(_), _) => place.ties,
            (_, false) => (self.before(place.time) + place.ties).saturating_sub(range.start),
            (_, true) => (range.end + place.ties).saturating_sub(self.before(place.time.saturating_add(1))),
        };
        step.min(self.len())
    }

    fn time(&self, row: usize) -> i64 {
        if matches!(self.along, Along::Modified(_)) { self.rows.modified(row) } else { self.rows.created(row) }
    }

    fn before(&self, time: i64) -> usize {
        match self.along {
            Along::Modified(_) => self.rows.modified_before(time),
            Along::Created(_) | Along::Listed(_) => self.rows.created_before(time),
        }
    }
}

/// The rows that match, in an order of their own.
fn listed(rows: &Rows, query: &Query, filter: Option<&Filter>) -> (Along, Vec<Filter>) {
    let mut listed: Vec<u32> = (0..rows.len()).filter(|at| matches(rows, *at, filter)).map(|at| at as u32).collect();
    sort(rows, &mut listed, query);
    (Along::Listed(listed), Vec::new())
}

fn matches(rows: &Rows, at: usize, filter: Option<&Filter>) -> bool {
    let Some(filter) = filter else { return true };
    // Rows that a scenario sends raw may be no objects: they match nothing.
    Fields::read(&rows.json(at)).is_ok_and(|fields| filter.matches(&fields))
}

/// A value to order by: nulls first.
#[derive(Debug, PartialEq, PartialOrd)]
enum Value {
    Null,
    Number(f64),
    Text(String),
}

fn sort(rows: &Rows, listed: &mut [u32], query: &Query) {
    let value = |at: u32, column: &Column| {
        let json = rows.json(at as usize);
        let Ok(fields) = Fields::read(&json) else { return Value::Null };
        let text = fields.text(column.wire);
        match column.ty {
            Type::Instant => text.and_then(|text| Instant::parse(&text)).map(|at| Value::Number(at.0 as f64)),
            Type::Choice(_) | Type::Int32 | Type::Int64 | Type::Decimal => {
                fields.raw(column.wire).and_then(|raw| raw.parse().ok()).map(Value::Number)
            }
            _ => text.map(|text| Value::Text(text.to_lowercase())),
        }
        .unwrap_or(Value::Null)
    };
    for (column, descends) in query.then.iter().rev().chain(&query.order) {
        let mut keyed: Vec<_> = listed.iter().map(|at| (value(*at, column), *at)).collect();
        keyed.sort_by(|a, b| {
            let ordering = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
            if *descends { ordering.reverse() } else { ordering }
        });
        for (slot, (_, at)) in listed.iter_mut().zip(keyed) {
            *slot = at;
        }
    }
}
