//! Every path inside a lake is made here.

use copilot_lake_tables::{Table, WEEK_START, Week};
use object_store::path::Path;
use url::Url;
use uuid::Uuid;

/// The name of the lock file at the root of a lake.
pub(crate) const LOCK: &str = "_lock";

/// The folder of a table's log, inside the table's folder.
pub(crate) const LOG: &str = "_delta_log";

/// The folder of a table.
pub(crate) fn table(table: &Table) -> Path {
    Path::from(table.name)
}

/// The location of a table, ending with `/`.
///
/// Table names are plain words, so that nothing has to be encoded.
pub(crate) fn table_url(lake: &Url, table: &Table) -> Url {
    let mut url = lake.clone();
    url.set_path(&format!("{}/{}/", lake.path().trim_end_matches('/'), table.name));
    url
}

/// A new data file of a table: names sort by the time at which they were made.
pub(crate) fn data_file(table: &Table, week: Option<Week>) -> Path {
    let name = format!("part-{:012x}-{}.parquet", crate::clock::now_millis(), Uuid::new_v4().simple());
    match week {
        Some(week) => Path::from_iter([table.name.to_owned(), format!("{WEEK_START}={week}"), name]),
        None => Path::from_iter([table.name.to_owned(), name]),
    }
}

/// The path that the log of a table knows for a path in the lake.
pub(crate) fn in_table(table: &Table, path: &Path) -> String {
    let prefix = format!("{}/", table.name);
    path.as_ref().strip_prefix(&prefix).unwrap_or(path.as_ref()).to_owned()
}

/// The path in the lake for a path that the log of a table knows.
pub(crate) fn in_lake(table: &Table, path: &Path) -> Path {
    Path::from_iter(std::iter::once(table.name.into()).chain(path.parts()))
}

/// Whether a file name in a table's folder is a data file, finished or staged.
pub(crate) fn is_data_file(name: &str) -> bool {
    let name = if is_staged(name) { name.rsplit_once('#').map_or(name, |(name, _)| name) } else { name };
    name.ends_with(".parquet")
}

/// Whether a local file is not finished: `<name>#<n>`.
pub(crate) fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()))
}

/// The location of a lake in memory.
pub(crate) fn memory_url() -> Result<Url, url::ParseError> {
    Url::parse("memory:///lake/")
}
