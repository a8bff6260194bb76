//! A merge of sorted files, row by row: which of them has the next rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::Table;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::keys::{self, KeyColumn, OwnedKey};
use crate::merge::gather::{RowRange, gather};

/// Rows are handed to the encoder in batches of at most this many, of about so many bytes.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 4 << 20;

/// A merge of sorted files; only those that may have the next row are open.
pub(crate) struct SortedMerge {
    table: &'static Table,
    /// The least times of the files that are not open yet.
    waiting: VecDeque<i64>,
    /// The last one has the next row.
    open: Vec<MergeCursor>,
    /// The batches at which open files are, and those of rows that are held.
    batches: Vec<SortedBatch>,
    held: HeldRows,
    /// The row before the next one.
    last: Option<LastRow>,
    /// Rows that are left out: those before them have the same time and key.
    pub(crate) dropped: u64,
}

/// A sorted file at its next row.
struct MergeCursor {
    file: Arc<DataFile>,
    rest: BoxStream<'static, Result<RecordBatch, Error>>,
    /// Its batch, by its place among those of the merge.
    batch: usize,
    at: usize,
}

/// A batch of a file, with the columns that it is sorted by.
struct SortedBatch {
    rows: RecordBatch,
    sort: Vec<KeyColumn>,
    /// What a row takes on average.
    row_bytes: usize,
}

/// Rows that wait to be encoded together.
#[derive(Default)]
struct HeldRows {
    ranges: Vec<RowRange>,
    rows: usize,
    bytes: usize,
}

/// The last row that the merge has come to.
enum LastRow {
    Held { batch: usize, row: usize },
    Written(OwnedKey),
}

/// What the next step of a merge gave.
pub(crate) enum Next {
    /// More rows are held.
    Held,
    /// The rows of this file are not in order.
    Unsorted(Arc<DataFile>),
    End,
}

/// The next batch of a file.
enum Filled {
    Rows(SortedBatch),
    Unsorted,
    End,
}

impl SortedMerge {
    /// A merge of files with these least times, in order.
    pub(crate) fn new(table: &'static Table, waiting: VecDeque<i64>) -> Self {
        let held = HeldRows::default();
        Self { table, waiting, open: Vec::new(), batches: Vec::new(), held, last: None, dropped: 0 }
    }

    /// Whether the next file may have the next row.
    pub(crate) fn needs_next(&self) -> bool {
        let Some(low) = self.waiting.front() else { return false };
        self.open.last().is_none_or(|cursor| *low <= self.sort(cursor)[0].int(cursor.at))
    }

    /// The next file is no longer waited for.
    pub(crate) fn skip_waiting(&mut self) {
        self.waiting.pop_front();
    }

    /// Opens a file. Returns it if its rows are not in order.
    pub(crate) async fn add(
        &mut self,
        file: Arc<DataFile>,
        mut rest: BoxStream<'static, Result<RecordBatch, Error>>,
    ) -> Result<Option<Arc<DataFile>>, Error> {
        match fill(self.table, &mut rest, None).await? {
            Filled::Rows(rows) => {
                self.batches.push(rows);
                self.insert(MergeCursor { file, rest, batch: self.batches.len() - 1, at: 0 });
            }
            Filled::Unsorted => return Ok(Some(file)),
            Filled::End => {}
        }
        Ok(None)
    }

    /// Holds the next rows, all of one file.
    pub(crate) async fn hold_next(&mut self) -> Result<Next, Error> {
        let Some(mut cursor) = self.open.pop() else { return Ok(Next::End) };
        let SortedBatch { rows, sort, row_bytes } = &self.batches[cursor.batch];
        let is_next = |row: usize| {
            self.waiting.front().is_none_or(|low| sort[0].int(row) < *low)
                && self.open.last().is_none_or(|other| keys::compare(sort, row, self.sort(other), other.at).is_le())
        };
        let end = first_other(cursor.at + 1..rows.num_rows(), is_next);
        let is_again = self.last.as_ref().is_some_and(|last| match last {
            LastRow::Held { batch, row } => keys::compare(&self.batches[*batch].sort, *row, sort, cursor.at).is_eq(),
            LastRow::Written(key) => key.compare(sort, cursor.at).is_eq(),
        });
        self.dropped += u64::from(is_again);
        let held = cursor.at + usize::from(is_again)..end;
        self.held.bytes += row_bytes * held.len();
        self.held.add(cursor.batch, held);
        self.last = Some(LastRow::Held { batch: cursor.batch, row: end - 1 });
        cursor.at = end;
        if end < rows.num_rows() {
            self.insert(cursor);
            return Ok(Next::Held);
        }
        match fill(self.table, &mut cursor.rest, Some(&self.batches[cursor.batch])).await? {
            Filled::Rows(rows) => {
                self.batches.push(rows);
                self.insert(MergeCursor { batch: self.batches.len() - 1, at: 0, ..cursor });
            }
            Filled::Unsorted => return Ok(Next::Unsorted(cursor.file)),
            Filled::End => {}
        }
        Ok(Next::Held)
    }

    /// Whether enough rows are held for the encoder.
    pub(crate) fn is_full(&self) -> bool {
        self.held.rows >= BATCH_ROWS || self.held.bytes >= BATCH_BYTES
    }

    /// Takes the rows that are held.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, Error> {
        let held = std::mem::take(&mut self.held);
        if let Some(LastRow::Held { batch, row }) = self.last {
            self.last = Some(LastRow::Written(OwnedKey::new(&self.batches[batch].sort, row)));
        }
        let mut batches: Vec<_> = std::mem::take(&mut self.batches).into_iter().map(Some).collect();
        let rows: Vec<RecordBatch> = batches.iter().flatten().map(|batch| batch.rows.clone()).collect();
        for cursor in &mut self.open {
            if let Some(batch) = batches[cursor.batch].take() {
                self.batches.push(batch);
                cursor.batch = self.batches.len() - 1;
            }
        }
        match held.ranges.as_slice() {
            [] => Ok(RecordBatch::new_empty(Arc::clone(self.table.layout().schema()))),
            [RowRange { batch, rows: range }] => Ok(rows[*batch].slice(range.start, range.len())),
            ranges => gather(&rows, ranges).map_err(Error::rows(self.table.name)),
        }
    }

    fn insert(&mut self, cursor: MergeCursor) {
        let is_before =
            |other: &MergeCursor| keys::compare(self.sort(&cursor), cursor.at, self.sort(other), other.at).is_lt();
        let at = self.open.partition_point(is_before);
        self.open.insert(at, cursor);
    }

    fn sort(&self, cursor: &MergeCursor) -> &[KeyColumn] {
        &self.batches[cursor.batch].sort
    }
}

impl HeldRows {
    fn add(&mut self, batch: usize, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        self.rows += rows.len();
        match self.ranges.last_mut() {
            Some(last) if last.batch == batch && last.rows.end == rows.start => last.rows.end = rows.end,
            _ => self.ranges.push(RowRange { batch, rows }),
        }
    }
}

/// The next batch of a file that has rows: they must be in order, and follow those of the batch before.
async fn fill(
    table: &'static Table,
    rest: &mut BoxStream<'static, Result<RecordBatch, Error>>,
    before: Option<&SortedBatch>,
) -> Result<Filled, Error> {
    while let Some(rows) = rest.try_next().await? {
        let count = rows.num_rows();
        if count > 0 {
            let sort = KeyColumn::from_batch(&rows, table.layout().sort()).map_err(Error::rows(table.name))?;
            let follows =
                before.is_none_or(|before| keys::compare(&before.sort, before.rows.num_rows() - 1, &sort, 0).is_le());
            if !follows || !(1..count).all(|row| keys::compare(&sort, row - 1, &sort, row).is_le()) {
                return Ok(Filled::Unsorted);
            }
            let row_bytes = rows.get_array_memory_size() / count;
            return Ok(Filled::Rows(SortedBatch { rows, sort, row_bytes }));
        }
    }
    Ok(Filled::End)
}

/// The first row of these that does not come next; all that do are before it. Mostly there are few.
fn first_other(rows: Range<usize>, is_next: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, end } = rows;
    let mut step = 1;
    while start + step <= end && is_next(start + step - 1) {
        start += step;
        step *= 2;
    }
    let mut end = end.min(start + step - 1);
    while start < end {
        let middle = start.midpoint(end);
        if is_next(middle) { start = middle + 1 } else { end = middle }
    }
    start
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::AsArray as _;
    use copilot_lake_tables::COPILOT_EVENT;
    use futures::{StreamExt as _, stream};
    use object_store::path::Path;

    use super::*;
    use crate::delta::data_file::FileBounds;
    use crate::tests::events;

    type OpenFile = (Arc<DataFile>, BoxStream<'static, Result<RecordBatch, Error>>);

    /// A file with rows at these seconds, whose ids are the seconds, in batches of that many rows.
    fn file(seconds: &[i64], batch_rows: usize) -> OpenFile {
        let path = Path::from("file");
        let bounds = FileBounds::default();
        let file = DataFile { path, size: 0, rows: None, week: None, stats: None, bounds, modified: 0 };
        let batches: Vec<_> = seconds
            .chunks(batch_rows)
            .map(|seconds| {
                let ids: Vec<String> = seconds.iter().map(|second| format!("{second:06}")).collect();
                Ok(events(&seconds.iter().zip(&ids).map(|(at, id)| (id.as_str(), *at, 1, "text")).collect::<Vec<_>>()))
            })
            .collect();
        (Arc::new(file), stream::iter(batches).boxed())
    }

    /// The ids of all rows that a merge of these files gives, and how many it dropped; `None`: one is not in order.
    async fn merged(files: Vec<OpenFile>) -> Option<(Vec<String>, u64)> {
        let mut merge = SortedMerge::new(&COPILOT_EVENT, files.iter().map(|_| i64::MIN).collect());
        let (mut files, mut ids) = (files.into_iter(), Vec::new());
        loop {
            while merge.needs_next() {
                merge.skip_waiting();
                let (file, batches) = files.next().unwrap();
                if merge.add(file, batches).await.unwrap().is_some() {
                    return None;
                }
            }
            let next = merge.hold_next().await.unwrap();
            if matches!(next, Next::Unsorted(_)) {
                return None;
            }
            let is_end = matches!(next, Next::End);
            if is_end || merge.is_full() {
                let rows = merge.take().unwrap();
                let of_rows = rows.column_by_name("msdyn_copiloteventid").unwrap().as_string::<i32>();
                ids.extend(of_rows.iter().flatten().map(str::to_owned));
            }
            if is_end {
                return Some((ids, merge.dropped));
            }
        }
    }

    #[tokio::test]
    async fn rows_of_many_batches_come_in_order_and_once() {
        let every = |step: usize, from: i64| (from..30_000).step_by(step).collect::<Vec<_>>();
        // Rows between each other's, rows that two have, and a file that goes on where the others end.
        let seconds = [every(3, 0), every(4, 1), every(6, 0), (29_000..45_000).collect()];
        let files = seconds.iter().zip([1_000, 1_024, 300, 5_000]).map(|(of, rows)| file(of, rows));
        let (ids, dropped) = merged(files.collect()).await.unwrap();
        let expected: BTreeSet<String> = seconds.iter().flatten().map(|second| format!("{second:06}")).collect();
        assert_eq!(ids.len(), expected.len());
        assert!(ids.iter().eq(&expected));
        assert_eq!(dropped as usize, seconds.iter().map(Vec::len).sum::<usize>() - expected.len());
    }

    #[tokio::test]
    async fn a_file_that_is_not_in_order_is_found_in_any_batch() {
        for (seconds, is_in_order) in [([1, 2, 3, 4], true), ([2, 1, 3, 4], false), ([1, 3, 2, 4], false)] {
            assert_eq!(merged(vec![file(&[0, 9], 2), file(&seconds, 2)]).await.is_some(), is_in_order, "{seconds:?}");
        }
    }

    #[test]
    fn the_first_row_that_does_not_come_next_is_found_in_any_range() {
        for end in 0..40 {
            for next in 0..=end {
                assert_eq!(first_other(0..end, |row| row < next), next, "{end}");
            }
        }
    }
}
