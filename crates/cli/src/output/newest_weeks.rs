//! Answers over weeks on a terminal: the newest weeks first, as many rows as a person reads.

use std::collections::VecDeque;
use std::io::Write;

use anyhow::Result;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};

use super::aligned::Aligned;

/// Rows that are shown.
const SHOWN: usize = 40;

/// The last weeks of an answer that is ordered by week, as it arrives; memory is that of the rows to show and one week.
pub(crate) struct NewestWeeks<W> {
    table: Aligned<W>,
    /// The rows of each week in the query's order, in parts as they came.
    weeks: VecDeque<HeldWeek>,
    /// Rows in `weeks`, and in all.
    held: usize,
    rows: usize,
}

#[derive(Default)]
struct HeldWeek {
    start: Option<i32>,
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl<W: Write> NewestWeeks<W> {
    /// Whether an answer with these columns is one over weeks: its first column is a week.
    pub(crate) fn fits(schema: &SchemaRef) -> bool {
        let first = schema.fields().first();
        first.is_some_and(|field| field.name().ends_with("week_start") && *field.data_type() == DataType::Date32)
    }

    /// Begins an answer that this table will show.
    pub(crate) fn new(table: Aligned<W>) -> Self {
        Self { table, weeks: VecDeque::new(), held: 0, rows: 0 }
    }

    /// Takes in rows; those of weeks that will not be shown are dropped.
    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        let starts = batch.column(0).as_primitive::<Date32Type>();
        let starts: Vec<_> = starts.iter().collect();
        let mut from = 0;
        for run in starts.chunk_by(PartialEq::eq) {
            let part = batch.slice(from, run.len());
            from += run.len();
            self.rows += part.num_rows();
            self.held += part.num_rows();
            if self.weeks.back().is_none_or(|week| week.start != run[0]) {
                self.weeks.push_back(HeldWeek { start: run[0], ..HeldWeek::default() });
            }
            if let Some(week) = self.weeks.back_mut() {
                week.rows += part.num_rows();
                week.parts.push(part);
            }
            while let Some(oldest) = self.weeks.pop_front_if(|oldest| self.held - oldest.rows >= SHOWN) {
                self.held -= oldest.rows;
            }
        }
    }

    /// Writes the newest weeks, and how many rows there are.
    pub(crate) fn finish(mut self) -> Result<W> {
        let mut left = SHOWN;
        for part in self.weeks.into_iter().rev().flat_map(|week| week.parts) {
            let shown = part.num_rows().min(left);
            self.table.push(&part.slice(0, shown))?;
            left -= shown;
        }
        let mut writer = self.table.finish()?;
        if self.rows > SHOWN {
            writeln!(
                writer,
                "... the newest {SHOWN} of {} rows; `--output FILE` or a pipe gets all of them, in the query's order",
                self.rows
            )?;
        }
        Ok(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Int64Array};

    use super::*;

    /// Rows of these weeks, numbered from `from`.
    fn batch(weeks: &[Option<i32>], from: i64) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..from + weeks.len() as i64);
        let weeks = Date32Array::from(weeks.to_vec());
        RecordBatch::try_from_iter([("week_start", Arc::new(weeks) as ArrayRef), ("n", Arc::new(numbers))]).unwrap()
    }

    fn shown(batches: &[RecordBatch]) -> (Vec<i64>, String) {
        let schema = batches[0].schema();
        assert!(NewestWeeks::<Vec<u8>>::fits(&schema));
        let mut newest = NewestWeeks::new(Aligned::new(Vec::new(), &schema, Some((80, usize::MAX))));
        for batch in batches {
            newest.push(batch);
        }
        let text = String::from_utf8(newest.finish().unwrap()).unwrap();
        let lines = text.lines().skip(1).filter(|line| !line.starts_with("..."));
        (lines.map(|line| line.split_whitespace().last().unwrap().parse().unwrap()).collect(), text)
    }

    #[test]
    fn the_newest_week_comes_first_and_within_it_the_order_of_the_query() {
        let (rows, text) = shown(&[batch(&[Some(0), Some(0), Some(7)], 1), batch(&[Some(7), Some(14)], 4)]);
        assert_eq!(rows, [5, 3, 4, 1, 2]);
        assert!(!text.contains("..."), "{text}");
        assert_eq!(shown(&[batch(&[], 0)]).0, [0; 0]);
        assert_eq!(shown(&[batch(&[Some(0), None], 1)]).0, [2, 1]);
    }

    #[test]
    fn no_more_than_a_screen_is_shown_and_the_rest_is_counted() {
        let weeks: Vec<_> = (0..100).map(|at| Some(at / 3 * 7)).collect();
        let (rows, text) = shown(&[batch(&weeks[..50], 0), batch(&weeks[50..], 50)]);
        assert_eq!(rows.len(), SHOWN);
        assert_eq!(rows[..4], [99, 96, 97, 98]);
        assert!(
            text.ends_with(
                "... the newest 40 of 100 rows; `--output FILE` or a pipe gets all of them, in the query's order\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn only_dates_are_weeks() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        for name in ["week_start", "n"] {
            let schema = RecordBatch::try_from_iter([(name, Arc::clone(&numbers))]).unwrap().schema();
            assert!(!NewestWeeks::<Vec<u8>>::fits(&schema));
        }
    }
}
