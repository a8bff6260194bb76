//! The rows of a table, rendered in advance: JSON in order of creation, with a compact index.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use copilot_lake_tables::{Instant, Table, TimeOf, Week};

use crate::data::json_fields::JsonFields;
use crate::data::random::hash;

/// A row with its index entry.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow {
    /// The JSON object.
    pub(crate) bytes: Vec<u8>,
    pub(crate) index: RowIndex,
}

/// What is known about a row without its JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowIndex {
    /// Microseconds since the Unix epoch, as `modified`: the sort keys of the two orders.
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// The key hash.
    pub(crate) key: u64,
    pub(crate) week: Week,
    /// How many Files it names.
    pub(crate) files: u8,
    /// Which of its [`TIME_COLUMNS`] are null, one bit each.
    pub(crate) lacks: u8,
}

/// The columns by which rows can be filtered and ordered by time.
pub(crate) const TIME_COLUMNS: [&str; 2] = ["createdon", "modifiedon"];

/// A run of rows in order of creation.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// The rows, each followed by a comma.
    bytes: Bytes,
    /// Where each row ends, its comma included.
    ends: Vec<u32>,
    index: Vec<RowIndex>,
    /// Whether each row was sent.
    served: Vec<AtomicBool>,
}

/// Builds a segment row by row, in order of creation.
#[derive(Debug, Default)]
pub(crate) struct SegmentBuilder {
    pub(crate) bytes: Vec<u8>,
    segment: Segment,
}

/// All rows of a table at one moment.
#[derive(Debug)]
pub(crate) struct RowSnapshot {
    segments: Vec<Arc<Segment>>,
    /// The number of the first row of each segment, then the number of all rows.
    starts: Vec<usize>,
    /// Row numbers in order of modification.
    by_modified: Vec<u32>,
    /// Rows that lack each of the [`TIME_COLUMNS`], in order of creation.
    lacking: [Vec<u32>; TIME_COLUMNS.len()],
    /// Key hash and row number, built on first use.
    by_key: OnceLock<Vec<(u64, u32)>>,
}

/// Hashes the parts of a key, ignoring case.
pub(crate) fn key_number<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut text = Vec::with_capacity(80);
    for part in parts {
        text.extend_from_slice(part.as_bytes());
        text.push(b'/');
    }
    hash(&text)
}

impl StoredRow {
    /// Indexes a row by its JSON. `fallback` replaces times that are missing or malformed.
    pub(crate) fn read(table: &'static Table, bytes: Vec<u8>, fallback: Instant) -> Result<Self, serde_json::Error> {
        let fields = JsonFields::read(&bytes)?;
        let time = |name: &str| fields.text(name).and_then(|text| Instant::parse(&text));
        let wire = |name: &str| table.column(name).map_or("", |column| column.wire);
        let created = time("createdon").unwrap_or(fallback);
        let modified = time("modifiedon").unwrap_or(created);
        let parts: Vec<_> = table.key.iter().map(|name| fields.text(wire(name)).unwrap_or_default()).collect();
        let key = key_number(parts.iter().map(AsRef::as_ref));
        let from = |column: &str| time(wire(column)).map(Week::of);
        let week = match table.time {
            TimeOf::PartitionIdOr(column) => fields
                .text("partitionid")
                .and_then(|partition| Week::from_partition_id(&partition))
                .or_else(|| from(column)),
            TimeOf::Column(column) | TimeOf::Unpartitioned(column) => from(column),
            TimeOf::Parent => None,
        };
        let files = table.files().filter(|file| fields.text(file.wire).is_some()).count() as u8;
        let is_null = |name: &str| fields.raw(name).is_none_or(|raw| raw == "null");
        let lacks =
            TIME_COLUMNS.iter().enumerate().map(|(bit, time_column)| u8::from(is_null(time_column)) << bit).sum();
        // Weeks before the epoch count as unknown.
        let week = week.unwrap_or(Week::UNKNOWN).max(Week::UNKNOWN);
        let index = RowIndex { created: created.0, modified: modified.0, key, week, files, lacks };
        Ok(Self { bytes, index })
    }
}

impl SegmentBuilder {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let mut builder = Self::default();
        builder.bytes.reserve(rows * 1_440);
        builder.segment.ends.reserve(rows);
        builder.segment.index.reserve(rows);
        builder
    }

    /// Ends the row whose JSON was appended to `bytes`.
    pub(crate) fn end_row(&mut self, index: RowIndex) {
        self.bytes.push(b',');
        self.segment.ends.push(self.bytes.len() as u32);
        self.segment.index.push(index);
    }

    pub(crate) fn finish(mut self) -> Segment {
        self.bytes.shrink_to_fit();
        let served = self.segment.ends.iter().map(|_| AtomicBool::new(false)).collect();
        Segment { bytes: Bytes::from(self.bytes), served, ..self.segment }
    }
}

impl Segment {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] as usize }
    }

    fn row(&self, at: usize) -> StoredRow {
        let bytes = self.bytes[self.start(at)..self.ends[at] as usize - 1].to_vec();
        StoredRow { bytes, index: self.index[at] }
    }

    fn is_served(&self, at: usize) -> bool {
        self.served[at].load(Ordering::Relaxed)
    }

    fn mark(&self, at: usize) {
        self.served[at].store(true, Ordering::Relaxed);
    }
}

impl RowSnapshot {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        let segments: Vec<_> = segments.into_iter().filter(|segment| segment.len() > 0).collect();
        let mut starts = vec![0];
        for segment in &segments {
            starts.push(starts[starts.len() - 1] + segment.len());
        }
        let lacking = Default::default();
        let mut rows = Self { segments, starts, by_modified: Vec::new(), lacking, by_key: OnceLock::new() };
        let index: Vec<_> = rows.segments.iter().flat_map(|segment| &segment.index).copied().collect();
        for (bit, lacking) in rows.lacking.iter_mut().enumerate() {
            lacking.extend((0_u32..).zip(&index).filter(|(_, row)| row.lacks >> bit & 1 == 1).map(|(at, _)| at));
        }
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        // Nearly sorted already, because most rows are never modified.
        order.sort_by_key(|at| index[*at as usize].modified);
        rows.by_modified = order;
        rows
    }

    pub(crate) fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn locate(&self, at: usize) -> (&Segment, usize) {
        let segment = self.starts.partition_point(|start| *start <= at) - 1;
        (&self.segments[segment], at - self.starts[segment])
    }

    /// The JSON of a row.
    pub(crate) fn json(&self, at: usize) -> Bytes {
        let (segment, at) = self.locate(at);
        segment.bytes.slice(segment.start(at)..segment.ends[at] as usize - 1)
    }

    pub(crate) fn row(&self, at: usize) -> StoredRow {
        let (segment, at) = self.locate(at);
        segment.row(at)
    }

    /// The index entry of a row.
    pub(crate) fn index(&self, at: usize) -> RowIndex {
        let (segment, at) = self.locate(at);
        segment.index[at]
    }

    pub(crate) fn created(&self, at: usize) -> i64 {
        self.index(at).created
    }

    pub(crate) fn modified(&self, at: usize) -> i64 {
        self.index(at).modified
    }

    /// Row numbers in order of modification.
    pub(crate) fn by_modified(&self) -> &[u32] {
        &self.by_modified
    }

    /// The rows without a value in a time column.
    pub(crate) fn lacking(&self, time_column: &str) -> &[u32] {
        TIME_COLUMNS.iter().position(|of| *of == time_column).map_or(&[], |bit| &self.lacking[bit])
    }

    /// How many rows were created before a time.
    pub(crate) fn created_before(&self, time: i64) -> usize {
        let is_before = |row: &RowIndex| row.created < time;
        let segment = self.segments.partition_point(|segment| segment.index.last().is_some_and(is_before));
        match self.segments.get(segment) {
            Some(found) => self.starts[segment] + found.index.partition_point(is_before),
            None => self.len(),
        }
    }

    /// How many rows were last modified before a time.
    pub(crate) fn modified_before(&self, time: i64) -> usize {
        self.by_modified.partition_point(|at| self.modified(*at as usize) < time)
    }

    /// Rows with a key hash: usually one.
    pub(crate) fn with_key(&self, key: u64) -> impl Iterator<Item = usize> {
        let keys = self.keys();
        let from = keys.partition_point(|(number, _)| *number < key);
        keys[from..].iter().take_while(move |(number, _)| *number == key).map(|(_, at)| *at as usize)
    }

    /// Every key hash with its row number, ascending.
    pub(crate) fn keys(&self) -> &[(u64, u32)] {
        self.by_key.get_or_init(|| {
            let rows = self.segments.iter().flat_map(|segment| &segment.index);
            let mut keys: Vec<_> = rows.map(|row| row.key).zip(0..).collect();
            keys.sort_unstable();
            keys
        })
    }

    /// The bytes of a run of rows, separated by commas, without a copy.
    pub(crate) fn frames(&self, range: Range<usize>) -> Vec<Bytes> {
        let mut frames = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let number = self.starts.partition_point(|start| *start <= at) - 1;
            let (segment, first) = (&self.segments[number], at - self.starts[number]);
            let end = range.end.min(self.starts[number + 1]);
            let last = end - self.starts[number];
            let comma = usize::from(end == range.end);
            frames.push(segment.bytes.slice(segment.start(first)..segment.ends[last - 1] as usize - comma));
            at = end;
        }
        frames
    }

    /// Marks a row as sent.
    pub(crate) fn mark(&self, at: usize) {
        let (segment, at) = self.locate(at);
        segment.mark(at);
    }

    pub(crate) fn is_served(&self, at: usize) -> bool {
        let (segment, at) = self.locate(at);
        segment.is_served(at)
    }

    /// A snapshot with rows removed and inserted; only the affected segments are rebuilt.
    pub(crate) fn edit(&self, mut remove: Vec<usize>, mut insert: Vec<StoredRow>) -> Self {
        remove.sort_unstable();
        insert.sort_by_key(|row| row.index.created);
        let mut insert = insert.into_iter().peekable();
        let mut segments = Vec::with_capacity(self.segments.len() + 1);
        for (number, segment) in self.segments.iter().enumerate() {
            let (start, end) = (self.starts[number], self.starts[number + 1]);
            let next = self.segments.get(number + 1).and_then(|next| next.index.first().map(|row| row.created));
            let belongs = |row: &StoredRow| next.is_none_or(|next| row.index.created < next);
            let removed = &remove[remove.partition_point(|at| *at < start)..remove.partition_point(|at| *at < end)];
            if removed.is_empty() && !insert.peek().is_some_and(belongs) {
                segments.push(Arc::clone(segment));
                continue;
            }
            let mut merged: Vec<(StoredRow, bool)> = (0..segment.len())
                .filter(|at| removed.binary_search(&(start + at)).is_err())
                .map(|at| (segment.row(at), segment.is_served(at)))
                .collect();
            while let Some(row) = insert.next_if(belongs) {
                merged.push((row, false));
            }
            merged.sort_by_key(|(row, _)| row.index.created);
            segments.push(Arc::new(build(&merged)));
        }
        let rest: Vec<_> = insert.map(|row| (row, false)).collect();
        segments.push(Arc::new(build(&rest)));
        Self::new(segments)
    }
}

fn build(rows: &[(StoredRow, bool)]) -> Segment {
    let mut builder = SegmentBuilder::with_capacity(rows.len());
    for (row, _) in rows {
        builder.bytes.extend_from_slice(&row.bytes);
        builder.end_row(row.index);
    }
    let segment = builder.finish();
    for (at, (_, served)) in rows.iter().enumerate() {
        if *served {
            segment.mark(at);
        }
    }
    segment
}
