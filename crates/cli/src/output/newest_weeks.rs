//! Answers over weeks on a terminal: the newest weeks first, as many rows as a person reads.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};

use super::aligned::Aligned;
use super::shown_rows::{SHOWN, footer};
use super::wording::grouped;

/// The last weeks of an answer as it arrives; memory is that of the rows to show and one week.
pub(crate) struct NewestWeeks<W> {
    table: Aligned<W>,
    /// The place of the column that says when weeks begin.
    column: usize,
    /// The rows of each week in the query's order. Those without a week are older than all others.
    weeks: BTreeMap<Option<i32>, HeldWeek>,
    /// Rows in `weeks`, and in all.
    held: usize,
    rows: usize,
}

/// The rows of a week, in parts as they came.
#[derive(Default)]
struct HeldWeek {
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl<W: Write> NewestWeeks<W> {
    /// The column of an answer over weeks that says when they begin: the first date that is named for it.
    pub(crate) fn week_column(schema: &SchemaRef) -> Option<usize> {
        let is_week = |name: &str| ["week", "week_start"].iter().any(|end| name.ends_with(end));
        schema.fields().iter().position(|field| *field.data_type() == DataType::Date32 && is_week(field.name()))
    }

    /// Begins an answer that this table will show, with the place of its [`NewestWeeks::week_column`].
    pub(crate) fn new(table: Aligned<W>, column: usize) -> Self {
        Self { table, column, weeks: BTreeMap::new(), held: 0, rows: 0 }
    }

    /// Takes in rows; those of weeks that will not be shown are dropped.
    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        let starts: Vec<_> = batch.column(self.column).as_primitive::<Date32Type>().iter().collect();
        let mut from = 0;
        for run in starts.chunk_by(PartialEq::eq) {
            let week = self.weeks.entry(run[0]).or_default();
            week.parts.push(batch.slice(from, run.len()));
            week.rows += run.len();
            from += run.len();
            self.held += run.len();
            self.rows += run.len();
        }
        while let Some(oldest) = self.weeks.first_entry().filter(|oldest| self.held - oldest.get().rows >= SHOWN) {
            self.held -= oldest.remove().rows;
        }
    }

    /// Writes the newest weeks, and how many rows there are.
    pub(crate) fn finish(mut self) -> Result<W> {
        let mut left = SHOWN;
        for part in self.weeks.into_values().rev().flat_map(|week| week.parts) {
            let shown = part.num_rows().min(left);
            self.table.push(&part.slice(0, shown))?;
            left -= shown;
        }
        let mut writer = self.table.finish()?;
        if self.rows > SHOWN {
            writer.write_all(footer("newest", &grouped(self.rows as u64)).as_bytes())?;
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
        let column = NewestWeeks::<Vec<u8>>::week_column(&schema).unwrap();
        let mut newest = NewestWeeks::new(Aligned::new(Vec::new(), &schema, Some(80)), column);
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
        assert_eq!(shown(&[batch(&[Some(0), None], 1)]).0, [1, 2]);
    }

    #[test]
    fn weeks_that_come_in_any_order_are_put_together() {
        let (rows, _) = shown(&[batch(&[Some(0), Some(7), Some(14)], 1), batch(&[Some(7), Some(14), Some(0)], 4)]);
        assert_eq!(rows, [3, 5, 2, 4, 1, 6]);
        let weeks: Vec<_> = (0..90).map(|at| Some(at % 45 * 7)).collect();
        let (rows, _) = shown(&[batch(&weeks, 0)]);
        assert_eq!((rows.len(), &rows[..4]), (SHOWN, [44, 89, 43, 88].as_slice()));
    }

    #[test]
    fn no_more_than_a_screen_is_shown_and_the_rest_is_counted() {
        let weeks: Vec<_> = (0..100).map(|at| Some(at / 3 * 7)).collect();
        let (rows, text) = shown(&[batch(&weeks[..50], 0), batch(&weeks[50..], 50)]);
        assert_eq!(rows.len(), SHOWN);
        assert_eq!(rows[..4], [99, 96, 97, 98]);
        assert!(
            text.ends_with(
                "... the newest 40 of 100 rows: `--output FILE` or a pipe gets all of them, in the query's order\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn only_dates_that_are_named_for_weeks_are_weeks() {
        let (numbers, dates) = (Arc::new(Int64Array::from(vec![1])), Arc::new(Date32Array::from(vec![1])));
        let column = |first: &str, second: &str| {
            let columns = [(first, Arc::clone(&numbers) as ArrayRef), (second, Arc::clone(&dates) as ArrayRef)];
            NewestWeeks::<Vec<u8>>::week_column(&RecordBatch::try_from_iter(columns).unwrap().schema())
        };
        for name in ["week_start", "cohort_week"] {
            assert_eq!((column("n", name), column(name, "day")), (Some(1), None), "{name}");
        }
        // Days, weeks and months of one answer begin there: the days would fill the screen.
        assert_eq!(column("n", "period_start"), None);
    }
}
