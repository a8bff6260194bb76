//! The one atomic step: new rows become part of their table.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::file::{OpenFile, Staged};
use crate::gone::Gone;
use crate::lake::{Find, Inner};
use crate::log::{Log, Outcome, State};
use crate::resolve::{Losers, Meetings, resolve};
use crate::rewrite::rewrite;
use crate::source::Source;

/// So often a commit is tried again when somebody else's came first.
const ATTEMPTS: usize = 8;

/// Files that are written at a time.
const FILES: usize = 4;

/// What a commit came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version; `None` when there was nothing to commit.
    pub version: Option<i64>,
    /// Rows that were new or changed.
    pub rows_written: u64,
    /// Rows that the table had already, as new or newer.
    pub rows_unchanged: u64,
    /// Files that became part of the table.
    pub files_added: usize,
    /// Files that are no longer part of the table.
    pub files_removed: usize,
    /// Bytes of the files that were added.
    pub bytes: u64,
}

/// The files of a commit.
struct Files {
    /// Of new rows.
    new: Vec<Staged>,
    /// Of the table's rows, without those that gave way.
    rest: Vec<Staged>,
    /// What `rest` replaces.
    gone: Vec<Arc<DataFile>>,
    unchanged: u64,
}

/// Commits new rows. One commit of a table is made at a time; the others wait here.
pub(crate) async fn commit(
    lake: &Inner,
    log: &Log,
    find: Find,
    sources: Vec<Source>,
    gone: &Gone,
    run_id: &str,
) -> Result<Committed, Error> {
    let _writing = log.writing.lock().await;
    // Files that can be seen but are not part of the table yet.
    let mut seen = Vec::new();
    let result = attempts(lake, log, find, sources, gone, run_id, &mut seen).await;
    if !matches!(result, Err(Error::Doubtful { .. })) {
        // After a success these are the files that lost rows to others of the same changes.
        log.readers.delete(seen).await;
    }
    result
}

async fn attempts(
    lake: &Inner,
    log: &Log,
    find: Find,
    mut sources: Vec<Source>,
    gone: &Gone,
    run_id: &str,
    seen: &mut Vec<Path>,
) -> Result<Committed, Error> {
    let mut unchanged = 0;
    for _ in 0..ATTEMPTS {
        let Some(state) = log.state().await? else {
            let reason = "there is no such table in the lake; it was not prepared".to_owned();
            return Err(Error::Interrupted { table: log.table.name, reason });
        };
        let mut files = merge(lake, log, find, &state, sources, gone, seen).await?;
        unchanged += files.unchanged;
        if files.new.is_empty() && files.gone.is_empty() {
            return Ok(Committed { rows_unchanged: unchanged, ..Committed::default() });
        }
        complete_all(files.new.iter_mut().chain(&mut files.rest), seen).await?;
        let add: Vec<DataFile> = files.new.iter().chain(&files.rest).map(|staged| staged.file.clone()).collect();
        match log.commit(&state, &add, &files.gone, run_id).await? {
            Outcome::Committed(state) => {
                seen.retain(|path| !add.iter().any(|file| file.path == *path));
                if lake.removed_files.is_zero() {
                    log.readers.delete(files.gone.iter().map(|file| file.path.clone()).collect()).await;
                }
                return Ok(Committed {
                    version: i64::try_from(state.version).ok(),
                    rows_written: files.new.iter().filter_map(|staged| staged.file.rows).sum(),
                    rows_unchanged: unchanged,
                    files_added: add.len(),
                    files_removed: files.gone.len(),
                    bytes: add.iter().map(|file| file.size).sum(),
                });
            }
            // What was read may no longer be true: only the new rows are kept.
            Outcome::Conflict => sources = files.new.into_iter().map(Source::File).collect(),
        }
    }
    Err(Error::Contended { table: log.table.name, attempts: ATTEMPTS })
}

/// Takes out rows so that every key stays once, and writes what is still in memory.
async fn merge(
    lake: &Inner,
    log: &Log,
    find: Find,
    state: &State,
    mut sources: Vec<Source>,
    gone: &Gone,
    seen: &mut Vec<Path>,
) -> Result<Files, Error> {
    let table = log.table;
    if matches!(find, Find::ByKey | Find::Again) {
        for source in &mut sources {
            source.bound_keys(table)?;
        }
    }
    let meetings = Meetings::find(find, &sources, &state.files, gone);
    let mut losers = Losers { new: vec![vec![]; sources.len()], ..Losers::default() };
    if !meetings.files.is_empty() || meetings.sources.iter().any(Option::is_some) {
        for (source, times) in sources.iter_mut().zip(&meetings.sources) {
            if let (Source::File(staged), Some(_)) = (source, times) {
                // It has to be read.
                complete(staged, seen).await?;
            }
        }
        losers = resolve(&lake.store, table, find, &sources, &meetings, gone).await?;
    }
    let new = stream::iter(sources.into_iter().zip(losers.new)).map(|(source, lost)| file_of(lake, log, source, lost));
    let new: Vec<Option<Staged>> = new.buffered(FILES).try_collect().await?;
    let rest: Vec<_> = losers.old.iter().map(|(file, lost)| rewrite(lake, table, file, lost)).collect();
    let rest: Vec<Option<Staged>> = stream::iter(rest).buffered(FILES).try_collect().await?;
    Ok(Files {
        new: new.into_iter().flatten().collect(),
        rest: rest.into_iter().flatten().collect(),
        gone: losers.old.into_iter().map(|(file, _)| file).collect(),
        unchanged: losers.unchanged,
    })
}

/// The file of new rows, without those that gave way; `None` when none is left.
async fn file_of(lake: &Inner, log: &Log, source: Source, lost: Vec<u32>) -> Result<Option<Staged>, Error> {
    let table = log.table;
    match source {
        Source::File(staged) if lost.is_empty() => Ok(Some(staged)),
        Source::File(staged) => rewrite(lake, table, &staged.file, &lost).await,
        Source::Run { week, mut run, charge, .. } => {
            run.drop_rows(&lost);
            if run.len() == 0 {
                return Ok(None);
            }
            let held = Arc::new(AtomicUsize::new(0));
            let schema = Arc::clone(table.layout().schema());
            let open = lake.memory.charge(&held);
            let file = OpenFile::create(lake, table, week, schema, run.len(), open).await?;
            let file = file.write(run.into_batches()).await?;
            drop(charge);
            file.finish().await.map(Some)
        }
    }
}

/// Gives files their names, several at a time, and remembers them in case the commit fails.
async fn complete_all(files: impl Iterator<Item = &mut Staged>, seen: &mut Vec<Path>) -> Result<(), Error> {
    let files: Vec<&mut Staged> = files.filter(|staged| !staged.is_complete()).collect();
    seen.extend(files.iter().map(|staged| staged.file.path.clone()));
    let completed = stream::iter(files).map(Staged::complete).buffer_unordered(FILES);
    // All of them end before an error is told: none may get its name after the others were deleted.
    completed.collect::<Vec<_>>().await.into_iter().collect()
}

/// Gives a file its name, and remembers it in case the commit fails.
async fn complete(staged: &mut Staged, seen: &mut Vec<Path>) -> Result<(), Error> {
    if !staged.is_complete() {
        seen.push(staged.file.path.clone());
        staged.complete().await?;
    }
    Ok(())
}
