//! One row per key: which of the new rows, and which of the table's, give way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::row::{RowConverter, SortField};
use copilot_lake_tables::{Field, Origin, Table};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::gone::Gone;
use crate::keys;
use crate::lake::Find;
use crate::source::{EVER, KeyReader, KeyRow, OPENED, READ, Source, Version, compare_versions, file_pick, projected};

/// Where new rows may meet others: what has to be read to keep one row per key.
pub(crate) struct Meetings {
    /// For every source: the times at which it may meet others; `None` when it meets nobody.
    pub(crate) sources: Vec<Option<(i64, i64)>>,
    /// The table's files that may be met, and at which times.
    pub(crate) files: Vec<(Arc<DataFile>, (i64, i64))>,
}

/// The rows that give way, by ascending position.
#[derive(Default)]
pub(crate) struct Losers {
    /// For every source.
    pub(crate) new: Vec<Vec<u32>>,
    /// By file.
    pub(crate) old: Vec<(Arc<DataFile>, Vec<u32>)>,
    /// New rows that give way to the table's.
    pub(crate) unchanged: u64,
}

impl Meetings {
    /// Looks at bounds only.
    pub(crate) fn find(find: Find, sources: &[Source], files: &[Arc<DataFile>], gone: &Gone) -> Self {
        let meet = |a: &Source, b: &Source| a.week() == b.week() && a.bounds().times_meet(b.bounds());
        let mut met = Self { sources: vec![None; sources.len()], files: Vec::new() };
        if find == Find::New {
            return met;
        }
        if find != Find::ByTime {
            let bounds = || sources.iter().map(Source::bounds).chain(gone.bounds());
            let any = |file: &&Arc<DataFile>| bounds().any(|bounds| bounds.keys_meet(&file.bounds));
            met.files = files.iter().filter(any).map(|file| (Arc::clone(file), EVER)).collect();
            // Even within one source a key may have several times.
            met.sources = vec![Some(EVER); sources.len()];
            return met;
        }
        for (at, source) in sources.iter().enumerate() {
            for (other, _) in sources.iter().enumerate().filter(|(other, b)| *other != at && meet(source, b)) {
                widen(&mut met.sources[at], common(source.bounds().time, sources[other].bounds().time));
            }
        }
        for file in files {
            let mut times = None;
            for (at, source) in sources.iter().enumerate() {
                if source.week() == file.week && source.bounds().times_meet(&file.bounds) {
                    let common = common(source.bounds().time, file.bounds.time);
                    widen(&mut met.sources[at], common);
                    widen(&mut times, common);
                }
            }
            for bounds in gone.bounds().filter(|bounds| bounds.times_meet(&file.bounds)) {
                widen(&mut times, common(bounds.time, file.bounds.time));
            }
            met.files.extend(times.map(|times| (Arc::clone(file), times)));
        }
        met
    }

    /// Whether rows of that week and these bounds would meet a file of the table.
    pub(crate) fn any(find: Find, source: &Source, files: &[Arc<DataFile>]) -> bool {
        match find {
            Find::New => false,
            Find::ByKey | Find::Again => true,
            Find::ByTime => {
                files.iter().any(|file| source.week() == file.week && source.bounds().times_meet(&file.bounds))
            }
        }
    }
}

fn common(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> (i64, i64) {
    let (a, b) = (a.unwrap_or(EVER), b.unwrap_or(EVER));
    (a.0.max(b.0), a.1.min(b.1))
}

fn widen(times: &mut Option<(i64, i64)>, by: (i64, i64)) {
    *times = Some(times.map_or(by, |times| (times.0.min(by.0), times.1.max(by.1))));
}

/// The newest new row of a key.
struct Newest {
    source: u32,
    position: u32,
    version: Version,
}

/// A new row and a row of the table with the same key and no newer version: their values decide.
struct Pair {
    source: usize,
    position: u32,
    file: usize,
    old: u32,
}

/// Finds the rows that give way.
///
/// The newest version stays. With equal versions, or without any, the new row stays if a value differs that is not about
/// the program's own work, else the table's; among new rows the first with versions, the last without. By
/// [`Find::Again`] a row of the table that was read later stays in any case. Rows of the table whose key is among `gone`
/// give way to nothing.
pub(crate) async fn resolve(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    find: Find,
    sources: &[Source],
    meetings: &Meetings,
    gone: &Gone,
) -> Result<Losers, Error> {
    let versioned = !table.layout().version().is_empty();
    let mut new = vec![Vec::new(); sources.len()];
    let mut newest: HashMap<u128, Newest> = HashMap::new();
    let mut sought = gone.sought().clone();
    for (at, (source, times)) in sources.iter().zip(&meetings.sources).enumerate() {
        let Some(times) = times else { continue };
        let insert = |row: KeyRow<'_>| {
            let (columns, at_row) = row.columns();
            sought.add(columns, at_row);
            let this = Newest { source: at as u32, position: row.position, version: row.version() };
            let key = row.key();
            let loser = match newest.get(&key) {
                Some(before) if versioned && compare_versions(before.version, this.version).is_ge() => this,
                _ => match newest.insert(key, this) {
                    Some(before) => before,
                    None => return,
                },
            };
            new[loser.source as usize].push(loser.position);
        };
        source.keys(store, table, *times, insert).await?;
    }
    let open = |(file, times): &(Arc<DataFile>, _)| {
        let (file, sought) = (Arc::clone(file), &sought);
        let times = *times;
        async move { KeyReader::open(store, table, &file, times, Some(sought)).await }
    };
    let opened: Vec<_> = meetings.files.iter().map(open).collect();
    let met = stream::iter(opened).buffered(OPENED).map_ok(|file| meet(file, &newest, gone)).try_buffered(READ);
    let met: Vec<Met> = met.try_collect().await?;
    let mut losers = Losers::default();
    let mut old = Vec::with_capacity(met.len());
    let mut pairs = Vec::new();
    for (file, met) in met.into_iter().enumerate() {
        old.push(met.old);
        losers.unchanged += met.new.len() as u64;
        met.new.into_iter().for_each(|(source, position)| new[source as usize].push(position));
        let pair = |(source, position, old)| Pair { source: source as usize, position, file, old };
        pairs.extend(met.equal.into_iter().map(pair));
    }
    for (pair, new_row, old_row) in compare(store, table, sources, meetings, pairs).await? {
        if new_row.digest == old_row.digest || (find == Find::Again && new_row.extracted_at < old_row.extracted_at) {
            losers.unchanged += 1;
            new[pair.source].push(pair.position);
        } else {
            old[pair.file].push(pair.old);
        }
    }
    for positions in new.iter_mut().chain(&mut old) {
        positions.sort_unstable();
        positions.dedup();
    }
    losers.new = new;
    let files = meetings.files.iter().map(|(file, _)| Arc::clone(file));
    losers.old = files.zip(old).filter(|(_, positions)| !positions.is_empty()).collect();
    Ok(losers)
}

/// What came of new rows that met a file's.
#[derive(Default)]
struct Met {
    /// Positions in the file of rows that give way.
    old: Vec<u32>,
    /// Sources and positions of new rows that give way.
    new: Vec<(u32, u32)>,
    /// Sources and positions of new rows with an equal version, and the positions in the file of those that they met.
    equal: Vec<(u32, u32, u32)>,
}

/// Looks in a file for the keys of new rows and of rows that are to go.
async fn meet(file: KeyReader, newest: &HashMap<u128, Newest>, gone: &Gone) -> Result<Met, Error> {
    let mut met = Met::default();
    let meet = |row: KeyRow<'_>| {
        let Some(new) = newest.get(&row.key()) else {
            let (columns, at) = row.columns();
            if gone.contains(columns, at) {
                met.old.push(row.position);
            }
            return;
        };
        match compare_versions(new.version, row.version()) {
            Ordering::Greater => met.old.push(row.position),
            Ordering::Equal => met.equal.push((new.source, new.position, row.position)),
            Ordering::Less => met.new.push((new.source, new.position)),
        }
    };
    file.for_each(meet).await?;
    Ok(met)
}

/// What decides between two rows with equal versions.
#[derive(Debug, Clone, Copy, Default)]
struct Values {
    /// Of all values except those that say when and by which run the row was read.
    digest: u128,
    extracted_at: i64,
}

/// The values of every pair: of the new row, and of the table's.
async fn compare(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    sources: &[Source],
    meetings: &Meetings,
    pairs: Vec<Pair>,
) -> Result<Vec<(Pair, Values, Values)>, Error> {
    if pairs.is_empty() {
        return Ok(vec![]);
    }
    let fields = table.layout().fields().iter().enumerate();
    let tells = |field: &Field| match field.origin {
        Origin::ExtractedAt => false,
        Origin::Column(column) => !column.provenance,
        _ => true,
    };
    let mut columns: Vec<usize> = fields.filter(|(_, field)| tells(field)).map(|(at, _)| at).collect();
    let telling = columns.len();
    columns.extend(table.layout().position("extracted_at"));
    let schema = projected(table, &columns);
    let sort = schema.fields().iter().take(telling).map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(sort).map_err(Error::rows(table.name))?;
    // Two rows are the same when their bytes are: 128 bits of them are kept.
    let values = |batch: &RecordBatch, to: &mut Vec<Values>| {
        let rows = converter.convert_columns(&batch.columns()[..telling]).map_err(Error::rows(table.name))?;
        let times = batch.columns()[telling].as_primitive::<TimestampMicrosecondType>().values();
        to.extend(rows.iter().zip(times).map(|(row, extracted_at)| Values {
            digest: keys::hash_of(|hasher| hasher.write(row.data())),
            extracted_at: *extracted_at,
        }));
        Ok(())
    };
    let mut of_source: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut of_file: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for pair in &pairs {
        of_source.entry(pair.source).or_default().push(pair.position);
        of_file.entry(pair.file).or_default().push(pair.old);
    }
    let mut new: HashMap<(usize, u32), Values> = HashMap::new();
    for (at, mut positions) in of_source {
        positions.sort_unstable();
        positions.dedup();
        let mut found = Vec::with_capacity(positions.len());
        sources[at].pick(store, table, &schema, &positions, |batch| values(batch, &mut found)).await?;
        new.extend(positions.into_iter().map(|position| (at, position)).zip(found));
    }
    let pick = |(at, mut positions): (usize, Vec<u32>)| {
        positions.sort_unstable();
        positions.dedup();
        let (file, schema, values) = (Arc::clone(&meetings.files[at].0), &schema, &values);
        async move {
            let mut found = Vec::with_capacity(positions.len());
            file_pick(store, &file, schema, &positions, |batch| values(batch, &mut found)).await?;
            Ok::<_, Error>(positions.into_iter().map(move |position| (at, position)).zip(found))
        }
    };
    let picked: Vec<_> = of_file.into_iter().map(pick).collect();
    let picked: Vec<_> = stream::iter(picked).buffered(READ).try_collect().await?;
    let old: HashMap<(usize, u32), Values> = picked.into_iter().flatten().collect();
    let of = |values: &HashMap<(usize, u32), Values>, at| values.get(&at).copied().unwrap_or_default();
    let with_values = pairs.into_iter().map(|pair| {
        let (new, old) = (of(&new, (pair.source, pair.position)), of(&old, (pair.file, pair.old)));
        (pair, new, old)
    });
    Ok(with_values.collect())
}
