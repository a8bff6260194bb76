//! Which tables' files are fetched in batches: those whose first files were the same in a batch as by themselves.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::batch_size::{BatchCost, BatchSize, MAX_BATCH_BYTES};
use super::file::FileContent;
use super::file_address::FileAddress;
use super::file_batch::FilePart;

/// Files of a table that are fetched both ways first.
const SAMPLES: usize = 20;

/// Files of a batch that is compared.
const COMPARED_AT_ONCE: usize = 10;

/// How long other files may wait for a comparison.
const WAITED_FOR: Duration = Duration::from_secs(10);

/// The largest file that is compared: as many as are compared at once fit into a batch.
const LARGEST_SAMPLE: usize = MAX_BATCH_BYTES / 2 / COMPARED_AT_ONCE;

/// How the files of each table are fetched.
#[derive(Debug, Default)]
pub(crate) struct FileBatches(Mutex<BTreeMap<&'static str, FetchMode>>);

#[derive(Debug)]
enum FetchMode {
    /// One by one, until there are enough to compare.
    Sampling(Vec<Sample>),
    /// One by one, while they are compared since then.
    Comparing(Instant),
    InBatches(BatchSize),
    OneByOne,
}

/// A file that was fetched by itself.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) file: FileAddress,
    name: Option<String>,
    length: usize,
    hash: u64,
}

impl Sample {
    /// Why a batch does not give the same, if so.
    pub(crate) fn difference(&self, part: &FilePart) -> Option<&'static str> {
        match part {
            FilePart::Bytes(bytes) if (bytes.len(), hash(bytes)) != (self.length, self.hash) => {
                Some("a file has other bytes in a batch")
            }
            FilePart::Bytes(_) if self.name != self.file.name => Some("a file has another name than its row says"),
            FilePart::Bytes(_) => None,
            FilePart::Response { .. } | FilePart::Unusable => Some("a batch does not bring a file"),
        }
    }
}

impl FileBatches {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<&'static str, FetchMode>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many files of a table are requested at once.
    pub(crate) fn files_at_once(&self, table: &'static str) -> usize {
        match self.tables().get(table) {
            Some(FetchMode::InBatches(size)) => size.files(),
            _ => 1,
        }
    }

    /// Whether files of a table are being compared, and not for long.
    pub(crate) fn is_comparing(&self, table: &'static str) -> bool {
        matches!(self.tables().get(table), Some(FetchMode::Comparing(since)) if since.elapsed() < WAITED_FOR)
    }

    /// The bytes that the body of a batch is likely to have.
    pub(crate) fn expected_bytes(&self, table: &'static str, files: usize) -> usize {
        match self.tables().get(table) {
            Some(FetchMode::InBatches(size)) => size.expected_bytes(files),
            _ => 0,
        }
    }

    /// Takes in a file that was fetched by itself.
    pub(crate) fn add_sample(&self, file: &FileAddress, content: &FileContent) {
        let mut tables = self.tables();
        let table = tables.entry(file.table.name).or_insert_with(|| FetchMode::Sampling(Vec::new()));
        let FetchMode::Sampling(samples) = table else { return };
        let is_usable = content.declared_size.is_none() && content.bytes.len() <= LARGEST_SAMPLE;
        if is_usable && samples.len() < SAMPLES {
            let (name, length) = (content.name.clone(), content.bytes.len());
            samples.push(Sample { file: file.clone(), name, length, hash: hash(&content.bytes) });
        }
    }

    /// The files to compare, for one caller, once there are enough.
    pub(crate) fn take_samples(&self, table: &'static str) -> Option<Vec<Vec<Sample>>> {
        let mut tables = self.tables();
        let state = tables.get_mut(table)?;
        let FetchMode::Sampling(samples) = state else { return None };
        if samples.len() < SAMPLES {
            return None;
        }
        let samples = std::mem::take(samples);
        *state = FetchMode::Comparing(Instant::now());
        Some(samples.chunks(COMPARED_AT_ONCE).map(<[_]>::to_vec).collect())
    }

    /// A comparison that did not come to its end is made once more.
    pub(crate) fn compared(&self, table: &'static str) {
        let mut tables = self.tables();
        if matches!(tables.get(table), Some(FetchMode::Comparing(_))) {
            tables.insert(table, FetchMode::Sampling(Vec::new()));
        }
    }

    /// All compared files were the same.
    pub(crate) fn proven(&self, table: &'static str) {
        info!(table, "files are fetched in batches");
        self.tables().insert(table, FetchMode::InBatches(BatchSize::new()));
    }

    /// From now on the files of a table are fetched one by one; says so once.
    pub(crate) fn give_up(&self, table: &'static str, reason: &str) {
        let before = self.tables().insert(table, FetchMode::OneByOne);
        if !matches!(before, Some(FetchMode::OneByOne)) {
            warn!(table, reason, "files are fetched one by one, which takes longer");
        }
    }

    /// Takes in how a batch went while `in_flight` requests are permitted at once.
    pub(crate) fn observe(&self, table: &'static str, cost: BatchCost, in_flight: usize) {
        if let Some(FetchMode::InBatches(size)) = self.tables().get_mut(table) {
            size.observe(cost, in_flight);
        }
    }

    /// A batch was too large.
    pub(crate) fn shrink(&self, table: &'static str) {
        if let Some(FetchMode::InBatches(size)) = self.tables().get_mut(table) {
            size.shrink();
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
