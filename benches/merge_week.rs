//! How long does it take to merge changed rows into a week that is there: one row in a hundred, and every row? The limit is
//! writing the week for the first time, when nothing is looked up. Throughput in bytes of the JSON that the whole week came
//! from.
//!
//! Keys are compared and hashed in place; what Arrow's own `Rows` cost instead is measured in `keys`.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, AsArray as _, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use copilot_lake_decoder::decode_page;
use copilot_lake_tables::{COPILOT_EVENT, Instant, Labels, Week};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The rows of the emulator, in four weeks.
const ROWS: usize = 200_000;

static WEEK: LazyLock<WeekOfRows> = LazyLock::new(WeekOfRows::largest);

/// The week that has the most rows.
struct WeekOfRows {
    week: Week,
    rows: RecordBatch,
    /// Of JSON.
    bytes: usize,
}

impl WeekOfRows {
    fn largest() -> Self {
        let pages = benches::pages(ROWS);
        let bytes: usize = pages.iter().map(|page| page.rows().len()).sum();
        let decode = |rows| decode_page(&COPILOT_EVENT, rows, Instant(0), &Labels::default()).expect("a page").batches;
        let batches: Vec<_> = pages.iter().flat_map(|page| decode(page.rows())).collect();
        let of_week = |week: Week| batches.iter().filter(move |(other, _)| *other == week).map(|(_, batch)| batch);
        let rows = |week: Week| of_week(week).map(RecordBatch::num_rows).sum::<usize>();
        let week = batches.iter().map(|(week, _)| *week).max_by_key(|week| rows(*week)).expect("a week");
        let rows = concat_batches(batches[0].1.schema_ref(), of_week(week)).expect("one schema");
        Self { week, bytes: bytes / ROWS * rows.num_rows(), rows }
    }

    /// Every so-many-th row, in a newer version.
    fn changed(&self, every: usize) -> RecordBatch {
        let rows = (0..self.rows.num_rows() as u32).step_by(every);
        let changed = take_record_batch(&self.rows, &UInt32Array::from_iter_values(rows)).expect("rows");
        let at = changed.schema_ref().index_of("versionnumber").expect("the column of versions");
        let versions: &Int64Array = changed.column(at).as_primitive::<Int64Type>();
        assert_eq!(versions.null_count(), 0, "every row has a version");
        let mut columns = changed.columns().to_vec();
        columns[at] = Arc::new(versions.unary::<_, Int64Type>(|version| version + 1_000_000_000));
        RecordBatch::try_new(changed.schema(), columns).expect("the same schema")
    }
}

fn main() {
    divan::main();
}

async fn write(lake: &Lake, mode: MergeMode, rows: RecordBatch) -> u64 {
    let mut changes = lake.changes(&COPILOT_EVENT, mode);
    changes.push(Some(WEEK.week), rows).await.expect("room");
    changes.commit("bench").await.expect("a commit").rows_written
}

/// A new lake, with the rows of the week if there are any.
fn lake(runtime: &Runtime, rows: Option<&RecordBatch>) -> (TempDir, Lake) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = runtime.block_on(async {
        let lake = Lake::open(folder.path().to_str().expect("a path that is text"), LakeOptions::default());
        let lake = lake.await.expect("a lake");
        lake.prepare(&Instance::default(), false).await.expect("tables");
        if let Some(rows) = rows {
            write(&lake, MergeMode::Append, rows.clone()).await;
        }
        lake
    });
    (folder, lake)
}

/// Writes these rows into a lake that holds others.
fn merge(bencher: Bencher<'_, '_>, there: Option<&RecordBatch>, rows: &RecordBatch) {
    let runtime = Runtime::new().expect("a runtime");
    bencher
        .counter(BytesCount::new(WEEK.bytes))
        .counter(ItemsCount::new(rows.num_rows()))
        .with_inputs(|| lake(&runtime, there))
        .bench_local_values(|(folder, lake)| {
            let written = runtime.block_on(write(&lake, MergeMode::Upsert, rows.clone()));
            assert_eq!(written, rows.num_rows() as u64);
            folder
        });
}

#[divan::bench(name = "merge_week/msdyn_copilotevent/1 in 100", sample_count = 5, sample_size = 1)]
fn one_in_a_hundred(bencher: Bencher<'_, '_>) {
    merge(bencher, Some(&WEEK.rows), &WEEK.changed(100));
}

#[divan::bench(name = "merge_week/msdyn_copilotevent/all", sample_count = 5, sample_size = 1)]
fn all(bencher: Bencher<'_, '_>) {
    merge(bencher, Some(&WEEK.rows), &WEEK.changed(1));
}

#[divan::bench(name = "write_week/msdyn_copilotevent", sample_count = 5, sample_size = 1)]
fn write_week(bencher: Bencher<'_, '_>) {
    merge(bencher, None, &WEEK.rows);
}
