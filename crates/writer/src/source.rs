//! Where new rows are while a commit is made: still in memory, or in a file.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use copilot_lake_tables::{Table, Week};
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::data_file::{Bounds, DataFile};
use crate::error::Error;
use crate::file::Staged;
use crate::keys::{Value, Values};
use crate::memory::Charge;
use crate::read::FileReader;
use crate::run::Run;
use crate::sought::Sought;

/// Every time there is.
pub(crate) const EVER: (i64, i64) = (i64::MIN, i64::MAX);

/// Files of a table that are opened at a time.
pub(crate) const OPENED: usize = 8;

/// Files whose rows are read at a time: the columns of a row group are in memory then.
pub(crate) const READ: usize = 2;

/// New rows of one week, sorted.
pub(crate) enum Source {
    /// In memory.
    Run { week: Option<Week>, run: Run, bounds: Bounds, charge: Charge },
    /// In a file that is not part of the table yet.
    File(Staged),
}

impl Source {
    pub(crate) fn week(&self) -> Option<Week> {
        match self {
            Self::Run { week, .. } => *week,
            Self::File(staged) => staged.file.week,
        }
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        match self {
            Self::Run { bounds, .. } => bounds,
            Self::File(staged) => &staged.file.bounds,
        }
    }

    /// Finds between which keys the rows in memory lie; files know theirs.
    pub(crate) fn bound_keys(&mut self, table: &'static Table) -> Result<(), Error> {
        let Self::Run { run, bounds, .. } = self else { return Ok(()) };
        bounds.key = vec![None; table.key.len()];
        let rows = run.for_each(table.layout().key(), |values, row| bounds.take_in(values, row));
        rows.map_err(Error::rows(table.name))
    }

    /// Calls with the time, key and version columns of every row of these times, and the row's position.
    pub(crate) async fn keys(
        &self,
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        times: (i64, i64),
        mut call: impl FnMut(KeyRow<'_>),
    ) -> Result<(), Error> {
        match self {
            Self::File(staged) => KeyReader::open(store, table, &staged.file, times, None).await?.for_each(call).await,
            Self::Run { run, .. } => {
                let (columns, parts) = key_columns(table);
                let mut position = 0;
                let rows = run.for_each(&columns, |values, row| {
                    let key = KeyRow { values, parts, row, position };
                    position += 1;
                    if (times.0..=times.1).contains(&key.time()) {
                        call(key);
                    }
                });
                rows.map_err(Error::rows(table.name))
            }
        }
    }

    /// The rows at these ascending positions.
    pub(crate) async fn pick(
        &self,
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        schema: &SchemaRef,
        positions: &[u32],
        mut call: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::File(staged) => file_pick(store, &staged.file, schema, positions, call).await,
            Self::Run { run, .. } => {
                let all = table.layout().schema();
                let columns: Vec<usize> = schema.fields().iter().filter_map(|f| all.index_of(f.name()).ok()).collect();
                for positions in positions.chunks(8_192) {
                    let rows = run.rows(positions).and_then(|rows| rows.project(&columns));
                    call(&rows.map_err(Error::rows(table.name))?)?;
                }
                Ok(())
            }
        }
    }
}

/// A row's time, key and version.
pub(crate) struct KeyRow<'a> {
    values: &'a [Values],
    parts: Parts,
    row: usize,
    /// The row's position in its run or file.
    pub(crate) position: u32,
}

/// Where in the columns of a [`KeyRow`] key and version begin.
#[derive(Clone, Copy)]
struct Parts {
    version: usize,
}

/// A row's version; a part that is null is [`i64::MIN`].
pub(crate) type Version = [i64; 2];

/// Which of two versions is newer. Parts that one of them lacks do not count: a time that did not fit its column must
/// not make its row the oldest.
pub(crate) fn compare_versions(a: Version, b: Version) -> Ordering {
    let known = |(a, b): &(i64, i64)| *a != i64::MIN && *b != i64::MIN;
    let parts = a.into_iter().zip(b).filter(known);
    parts.map(|(a, b)| a.cmp(&b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

impl KeyRow<'_> {
    pub(crate) fn time(&self) -> i64 {
        self.values[0].int(self.row)
    }

    /// Whether the first part of the key is one of these.
    pub(crate) fn begins_with_one_of(&self, ids: &BTreeSet<String>) -> bool {
        match self.values[1].get(self.row) {
            Value::Text(id) => ids.contains(id),
            _ => false,
        }
    }

    /// The key's columns, and the row in them.
    pub(crate) fn columns(&self) -> (&[Values], usize) {
        (&self.values[1..self.parts.version], self.row)
    }

    /// 128 bits that tell the key from every other.
    pub(crate) fn key(&self) -> u128 {
        let (columns, row) = self.columns();
        crate::keys::hash(columns, row)
    }

    pub(crate) fn version(&self) -> Version {
        let mut version = [i64::MIN; 2];
        for (to, from) in version.iter_mut().zip(&self.values[self.parts.version..]) {
            *to = from.int(self.row);
        }
        version
    }
}

/// Positions in the layout of time, key and version.
fn key_columns(table: &'static Table) -> (Vec<usize>, Parts) {
    let layout = table.layout();
    let columns = layout.sort().iter().chain(layout.version()).copied().collect();
    (columns, Parts { version: layout.sort().len() })
}

/// A file whose times, keys and versions are read.
pub(crate) struct KeyReader {
    table: &'static Table,
    reader: FileReader,
    /// Row groups, each with its first row's position.
    groups: Vec<(usize, u32)>,
    times: (i64, i64),
}

impl KeyReader {
    /// Opens a file for the rows of these times. Row groups that hold nothing of what is sought may be left out.
    pub(crate) async fn open(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        file: &DataFile,
        times: (i64, i64),
        sought: Option<&Sought>,
    ) -> Result<Self, Error> {
        let reader = FileReader::open(store, file).await?;
        let mut groups = reader.row_groups(table, times);
        if let Some(sought) = sought {
            groups = reader.row_groups_of(groups, sought).await?;
        }
        Ok(Self { table, reader, groups, times })
    }

    /// As [`Source::keys`].
    pub(crate) async fn for_each(self, mut call: impl FnMut(KeyRow<'_>)) -> Result<(), Error> {
        let Self { table, reader, groups, times } = self;
        let (columns, parts) = key_columns(table);
        let schema = projected(table, &columns);
        // A column may be named twice: once for the key and once for the version or the time.
        let at: Vec<usize> =
            columns.iter().filter_map(|&c| schema.index_of(&table.layout().fields()[c].name).ok()).collect();
        for (group, first) in groups {
            let mut position = first;
            let mut batches = reader.read_as(&schema, Some(vec![group]), None)?;
            while let Some(batch) = batches.try_next().await? {
                let values = Values::of(&batch, &at).map_err(Error::rows(table.name))?;
                for row in 0..batch.num_rows() {
                    let key = KeyRow { values: &values, parts, row, position };
                    position += 1;
                    if (times.0..=times.1).contains(&key.time()) {
                        call(key);
                    }
                }
            }
        }
        Ok(())
    }
}

/// As [`Source::pick`], for a file.
pub(crate) async fn file_pick(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    schema: &SchemaRef,
    positions: &[u32],
    mut call: impl FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let reader = FileReader::open_for_rows(store, file).await?;
    let mut batches = reader.read_as(schema, None, Some(selection(positions)))?;
    while let Some(batch) = batches.try_next().await? {
        call(&batch)?;
    }
    Ok(())
}

/// The columns at these positions, each once; nullable, since old files may lack them.
pub(crate) fn projected(table: &'static Table, columns: &[usize]) -> SchemaRef {
    let all = table.layout().schema();
    let mut fields: Vec<_> = Vec::new();
    for &at in columns {
        let field = all.field(at).clone().with_nullable(true);
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Arc::new(Schema::new(fields))
}

/// Selects the rows at these ascending positions.
fn selection(positions: &[u32]) -> RowSelection {
    let (mut selectors, mut next): (Vec<RowSelector>, u32) = (Vec::new(), 0);
    for &at in positions {
        if at > next {
            selectors.push(RowSelector::skip((at - next) as usize));
        }
        selectors.push(RowSelector::select(1));
        next = at + 1;
    }
    selectors.into()
}
