//! Every path inside a lake is made here.

use std::hash::Hasher;
use std::ops::RangeInclusive;

use copilot_lake_tables::{Table, WEEK_START, Week};
use object_store::path::Path;
use siphasher::sip::SipHasher13;
use url::Url;
use uuid::Uuid;

use crate::fnv1a::fnv1a;

/// The name of the lock file at the root of a lake.
pub(crate) const LOCK: &str = "_lock";

/// The folder of a table's log, inside the table's folder.
pub(crate) const LOG: &str = "_delta_log";

/// The folder of the parts of a lake, at its root.
pub(crate) const PARTS: &str = "_parts";

/// The folder of the archive, at the root of a lake.
const RAW: &str = "_raw";

/// Length limit, in characters, of a path segment whose name comes from outside.
const PART_CHARS: usize = 120;

/// The folder of a table.
pub(crate) fn table(table: &Table) -> Path {
    Path::from(table.name)
}

/// The location of a table, ending with `/`.
///
/// Table names are plain words: nothing has to be encoded.
pub(crate) fn table_url(lake: &Url, table: &Table) -> Url {
    let mut url = lake.clone();
    url.set_path(&format!("{}/{}/", lake.path().trim_end_matches('/'), table.name));
    url
}

/// A new data file of a table, with the id of its rows; names sort by time of creation.
pub(crate) fn data_file(table: &Table, week: Option<Week>, rows_id: u64) -> Path {
    let (unique, _) = Uuid::new_v4().as_u64_pair();
    let name = format!("part-{:012x}-{unique:016x}{rows_id:016x}.parquet", crate::clock::now_millis());
    match week {
        Some(week) => Path::from_iter([table.name.to_owned(), week_folder(week), name]),
        None => Path::from_iter([table.name.to_owned(), name]),
    }
}

/// A new id for the rows of a file.
pub(crate) fn new_rows_id() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

/// The id of a file's rows: files that were merged into others have the same sum of ids as those. The ids of other tools'
/// files are hashes of their paths.
pub(crate) fn rows_id(path: &Path) -> u64 {
    let of_name = || {
        let name = path.filename().filter(|name| is_own_data_file(name))?.strip_suffix(".parquet")?;
        u64::from_str_radix(name.get(name.len() - 16..)?, 16).ok()
    };
    of_name().unwrap_or_else(|| fnv1a(path.as_ref()))
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

/// Whether [`data_file`] made the name of a file, published or staged: no other tool makes such names.
pub(crate) fn is_own_data_file(name: &str) -> bool {
    let parts =
        published_name(name).strip_prefix("part-").and_then(|name| name.strip_suffix(".parquet")?.split_once('-'));
    let is_hex = |text: &str| text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    parts.is_some_and(|(time, id)| time.len() == 12 && id.len() == 32 && is_hex(time) && is_hex(id))
}

/// Whether this program uploads such a file to the lake: a data file, or a file of an archive.
pub(crate) fn is_own_upload(path: &str) -> bool {
    let Some((folder, _)) = path.split_once('/') else { return false };
    let path = Path::from(path);
    let is_data = path.filename().is_some_and(is_own_data_file) && copilot_lake_tables::table(folder).is_some();
    is_data || (folder == RAW && archived(&path).is_some())
}

/// Whether tools that read a table's folder ignore files and folders of this name.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// The version of a file of a table's log, within the lake, and the rest of its name.
fn log_file(path: &str) -> Option<(u64, &str)> {
    let (folder, name) = path.rsplit_once('/')?;
    let (version, rest) = name.split_once('.').filter(|_| folder.rsplit('/').next() == Some(LOG))?;
    let is_version = version.len() == 20 && version.bytes().all(|c| c.is_ascii_digit());
    Some((version.parse().ok().filter(|_| is_version)?, rest))
}

/// The version of an entry of a table's log, within the lake; `None`: it is another file.
pub(crate) fn log_version(path: &str) -> Option<u64> {
    log_file(path).filter(|(_, rest)| *rest == "json").map(|(version, _)| version)
}

/// Whether a file, within the lake, is a checkpoint of a table's log, or a part of one.
pub(crate) fn is_checkpoint(path: &str) -> bool {
    log_file(path).is_some_and(|(_, rest)| rest.starts_with("checkpoint.") && rest.ends_with(".parquet"))
}

/// The folder of a week, inside the table's folder.
pub(crate) fn week_folder(week: Week) -> String {
    format!("{WEEK_START}={week}")
}

/// Whether a local file is staged: `<name>#<n>`.
pub(crate) fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()))
}

/// The name that a staged file gets when it is published; that of another one is its own.
pub(crate) fn published_name(name: &str) -> &str {
    if is_staged(name) { name.rsplit_once('#').map_or(name, |(name, _)| name) } else { name }
}

/// The temporary name of a local file until it is published.
pub(crate) fn staged(file: &std::path::Path, number: u32) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!("#{number}"));
    name.into()
}

/// The root of a lake's store, as the log of a table knows it.
///
/// The lake's location is not part of it: deltalake would decode percent signs that were never encoded.
pub(crate) fn store_url() -> Result<Url, url::ParseError> {
    Url::parse("lake:///")
}

/// The location of a lake in memory.
pub(crate) fn memory_url() -> Result<Url, url::ParseError> {
    Url::parse("memory:///lake/")
}

/// A new folder for files that test whether a lake can be written.
pub(crate) fn probe() -> Path {
    Path::from(format!("_probe-{}", Uuid::new_v4().simple()))
}

/// A file in it.
pub(crate) fn probe_file(folder: &Path, name: &str) -> Path {
    folder.clone().join(name)
}

/// The folder of a part of the lake.
pub(crate) fn part(name: &str) -> Path {
    Path::from_iter([PARTS.to_owned(), path_segment(name)])
}

/// The folder of the archive.
pub(crate) fn archive_root() -> Path {
    Path::from(RAW)
}

/// The folder of a table's archives.
pub(crate) fn archives(table: &Table) -> Path {
    Path::from_iter([RAW.to_owned(), path_segment(table.name)])
}

/// The folder of an archive: of a table, of a run, and with a name of its own.
pub(crate) fn archive(table: &str, run_id: &str, name: &str) -> Path {
    Path::from_iter([RAW.to_owned(), path_segment(table), path_segment(run_id), path_segment(name)])
}

/// The folder of the archive with that number within a run, or of several that were merged.
pub(crate) fn numbered_archive(table: &str, run_id: &str, numbers: RangeInclusive<u32>, name: &str) -> Path {
    let (first, last) = numbers.into_inner();
    archive(table, run_id, &format!("{first:06}-{last:06}-{name}"))
}

/// The numbers of such an archive; `None` if [`numbered_archive`] did not make the name.
pub(crate) fn archive_numbers(folder: &Path) -> Option<RangeInclusive<u32>> {
    let (first, rest) = folder.filename()?.split_once('-')?;
    let (last, _) = rest.split_once('-')?;
    let is_number = |text: &str| text.len() >= 6 && text.bytes().all(|c| c.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return None;
    }
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// A file of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchivedFile {
    /// The description of each slice.
    Slice,
    /// One line for every page and payload; in the older form, for every payload.
    Index,
    /// Pages and payloads, by number.
    Bundle(u32),
    /// In the older form, the body of a page, by number.
    Page(u32),
    /// In the older form, the bytes of a payload, by number.
    Payload(u32),
}

pub(crate) fn archived_slice(folder: &Path) -> Path {
    folder.clone().join("slice.json")
}

pub(crate) fn archived_index(folder: &Path) -> Path {
    folder.clone().join("index.jsonl.zst")
}

pub(crate) fn archived_bundle(folder: &Path, number: u32) -> Path {
    folder.clone().join(format!("bundle-{number:04}.zst"))
}

/// A page in the older form.
pub(crate) fn archived_page(folder: &Path, number: u32) -> Path {
    folder.clone().join(format!("{number}.json.zst"))
}

/// A payload in the older form.
pub(crate) fn archived_payload(folder: &Path, number: u32) -> Path {
    folder.clone().join(format!("{number}.bin.zst"))
}

/// What a file in the folder of an archive is; `None` if this program did not make it.
pub(crate) fn archived(path: &Path) -> Option<ArchivedFile> {
    archived_file(path.filename()?)
}

/// As [`archived`], by name.
pub(crate) fn archived_file(name: &str) -> Option<ArchivedFile> {
    match name {
        "slice.json" => return Some(ArchivedFile::Slice),
        "index.jsonl" | "index.jsonl.zst" => return Some(ArchivedFile::Index),
        _ => {}
    }
    if let Some(number) = name.strip_prefix("bundle-").and_then(|name| name.strip_suffix(".zst")) {
        return number.parse().ok().map(ArchivedFile::Bundle);
    }
    let (number, kind) = name.strip_suffix(".zst").unwrap_or(name).split_once('.')?;
    let number = number.parse().ok()?;
    match kind {
        "json" => Some(ArchivedFile::Page(number)),
        "bin" => Some(ArchivedFile::Payload(number)),
        _ => None,
    }
}

/// Whether a file of the archive is compressed.
pub(crate) fn is_compressed(path: &Path) -> bool {
    path.filename().is_some_and(|name| name.ends_with(".zst"))
}

/// The folder of a file.
pub(crate) fn folder(path: &Path) -> Path {
    let mut parts: Vec<_> = path.parts().collect();
    parts.pop();
    Path::from_iter(parts)
}

/// A name as a path segment: letters, digits, `-`, `_`, `.`. A name that had to be changed ends with a hash of the
/// original, so that different names stay different.
fn path_segment(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && !name.starts_with('.') && name.len() <= PART_CHARS && name.chars().all(safe) {
        return name.to_owned();
    }
    let cut: String =
        name.trim_start_matches('.').chars().take(PART_CHARS).map(|c| if safe(c) { c } else { '_' }).collect();
    // Must never change: existing archives have such names.
    let mut hasher = SipHasher13::new();
    hasher.write_u8(1);
    hasher.write(name.as_bytes());
    let hash = hasher.finish() as u32;
    format!("{cut}-{hash:08x}")
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::PAYLOAD;

    use super::*;

    #[test]
    fn own_uploads_are_data_files_and_bundles() {
        let own = data_file(&PAYLOAD, None, 1);
        let archive = numbered_archive("payload", "run", 1..=1, "name");
        for path in [own.as_ref(), archived_bundle(&archive, 1).as_ref(), archived_index(&archive).as_ref()] {
            assert!(is_own_upload(path), "{path}");
        }
        let other_table = format!("other/{}", own.filename().unwrap());
        for path in [other_table.as_str(), "payload/mine.parquet", "_raw/payload/run/x/mine.zst", "bundle-0001.zst"] {
            assert!(!is_own_upload(path), "{path}");
        }
    }

    #[test]
    fn files_of_logs_are_told_by_their_names() {
        let entry = "payload/_delta_log/00000000000000000042.json";
        assert_eq!((log_version(entry), is_checkpoint(entry)), (Some(42), false));
        let checkpoints = [
            "payload/_delta_log/00000000000000000042.checkpoint.parquet",
            "payload/_delta_log/00000000000000000042.checkpoint.0000000001.0000000002.parquet",
        ];
        for checkpoint in checkpoints {
            assert_eq!((log_version(checkpoint), is_checkpoint(checkpoint)), (None, true), "{checkpoint}");
        }
        for other in [
            "payload/_delta_log/_last_checkpoint",
            "payload/_delta_log/00000000000000000042.json#1",
            "payload/_delta_log/42.json",
            "payload/_delta_log/00000000000000000001.00000000000000000042.compacted.json",
            "payload/week_start=2025-06-22/00000000000000000042.json",
            "payload/week_start=2025-06-22/00000000000000000042.checkpoint.parquet",
            "00000000000000000042.json",
        ] {
            assert_eq!((log_version(other), is_checkpoint(other)), (None, false), "{other}");
        }
    }

    #[test]
    fn own_names_are_told_from_those_of_other_tools() {
        let own = data_file(&PAYLOAD, Week::parse("2025-06-22"), 0x2a);
        assert_eq!(rows_id(&own), 42, "{own}");
        let own = own.filename().unwrap();
        assert!(is_own_data_file(own) && is_own_data_file(&format!("{own}#1")), "{own}");
        for other in [
            "part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet",
            "part-00001-0f6d2a5e-8b5c-4d0e-9d57-3c1f3f0c8a11-c000.snappy.parquet#1",
            &own.replace("part-", "compacted-"),
            &own.to_uppercase(),
            &format!("{own}.crc"),
            &format!("x{own}"),
            "mine.parquet",
        ] {
            assert!(!is_own_data_file(other), "{other}");
            assert_eq!(rows_id(&Path::from(other)), fnv1a(Path::from(other).as_ref()), "{other}");
        }
    }
}
