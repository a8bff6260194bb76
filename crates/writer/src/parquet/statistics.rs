//! The log's statistics of a file, made from its Parquet metadata and never tighter than the data.

use std::collections::BTreeMap;

use ::parquet::data_type::{AsBytes, ByteArray, FixedLenByteArray};
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::statistics::Statistics;
use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Schema, TimeUnit};
use copilot_lake_tables::Instant;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Length limit of a text bound, in characters.
const TEXT_CHARS: usize = 32;

/// The years 1 to 9999 in milliseconds: not every reader knows dates beyond them.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A day in milliseconds.
const DAY_MILLIS: i64 = 86_400_000;

/// Bounds as raw JSON, which keeps numbers of 38 digits exact.
type ColumnBounds = BTreeMap<String, Box<RawValue>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileStatistics {
    num_records: i64,
    #[serde(flatten)]
    columns: Option<ColumnStatistics>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ColumnStatistics {
    min_values: ColumnBounds,
    max_values: ColumnBounds,
    null_count: BTreeMap<String, i64>,
}

/// The JSON text of a file's statistics: `numRecords`, `minValues`, `maxValues`, `nullCount` of these columns.
///
/// Text bounds are truncated to 32 characters, the upper one rounded up; times are rounded outward to milliseconds, as
/// Delta requires; booleans and decimals are plain JSON. If a column has a value but no bound, only `numRecords` is
/// given: some readers take a missing bound for "no rows".
pub(crate) fn to_json(indexed: &[String], schema: &Schema, metadata: &ParquetMetaData) -> String {
    let num_records = metadata.file_metadata().num_rows();
    let columns = columns(indexed, schema, metadata);
    let text = |columns| serde_json::to_string(&FileStatistics { num_records, columns });
    text(columns).unwrap_or_else(|_| serde_json::json!({ "numRecords": num_records }).to_string())
}

/// The statistics of the columns; `None` when they would be incomplete.
fn columns(indexed: &[String], schema: &Schema, metadata: &ParquetMetaData) -> Option<ColumnStatistics> {
    let leaves = metadata.file_metadata().schema_descr().columns();
    let all = metadata.file_metadata().num_rows();
    let mut columns = ColumnStatistics::default();
    for name in indexed {
        let Ok(field) = schema.field_with_name(name) else {
            // The file is older than the column.
            columns.null_count.insert(name.clone(), all);
            continue;
        };
        let leaf = leaves.iter().position(|leaf| leaf.path().parts() == [name.as_str()])?;
        let groups = metadata.row_groups().iter().map(|group| {
            let of = group.column(leaf).statistics()?;
            Some((of, i64::try_from(of.null_count_opt()?).ok()?, group.num_rows()))
        });
        let mut groups = groups.collect::<Option<Vec<_>>>()?;
        let nulls: i64 = groups.iter().map(|(_, nulls, _)| nulls).sum();
        columns.null_count.insert(name.clone(), nulls);
        // Row groups with only nulls have no bounds.
        groups.retain(|(_, nulls, rows)| nulls < rows);
        if !groups.is_empty() {
            let groups: Vec<&Statistics> = groups.into_iter().map(|(of, ..)| of).collect();
            let (min, max) = bounds(field.data_type(), &groups)?;
            columns.min_values.insert(name.clone(), min);
            columns.max_values.insert(name.clone(), max);
        }
    }
    Some(columns)
}

/// Whether the log's statistics cover all of these columns, or consist of the number of rows alone.
pub(crate) fn are_complete(stats: Option<&str>, indexed: &[String]) -> bool {
    let Some(stats) = stats.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return true };
    if ["minValues", "maxValues", "nullCount"].iter().all(|part| stats.get(part).is_none()) {
        return true;
    }
    indexed.iter().all(|name| {
        let nulls = stats["nullCount"][name].as_i64();
        let is_bounded = !stats["minValues"][name].is_null() && !stats["maxValues"][name].is_null();
        nulls.is_some() && (is_bounded || nulls == stats["numRecords"].as_i64())
    })
}

/// The minimum and maximum of row groups that each have a value; `None` when either is unknown.
fn bounds(ty: &DataType, groups: &[&Statistics]) -> Option<(Box<RawValue>, Box<RawValue>)> {
    match ty {
        DataType::Utf8 => {
            let mut texts = Vec::with_capacity(groups.len());
            for group in groups {
                // Old writers compared texts as signed bytes.
                let Statistics::ByteArray(of) = group else { return None };
                if group.is_min_max_deprecated() {
                    return None;
                }
                texts.push((text_below(of.min_opt()?), text_above(of.max_opt()?)?));
            }
            let (low, high) = union_of(texts)?;
            Some((raw(truncate_down(&low))?, raw(truncate_up(&high)?)?))
        }
        DataType::Boolean => {
            let of = |group: &&Statistics| match group {
                Statistics::Boolean(of) => Some((*of.min_opt()?, *of.max_opt()?)),
                _ => None,
            };
            let (low, high) = union_of(groups.iter().map(of).collect::<Option<Vec<_>>>()?)?;
            Some((raw(low)?, raw(high)?))
        }
        DataType::Int32 | DataType::Int64 => {
            let (low, high) = union_of(groups.iter().map(|group| integers(group)).collect::<Option<Vec<_>>>()?)?;
            Some((raw(low)?, raw(high)?))
        }
        DataType::Date32 => {
            let (low, high) = union_of(groups.iter().map(|group| integers(group)).collect::<Option<Vec<_>>>()?)?;
            let days = YEARS.start() / DAY_MILLIS..=YEARS.end() / DAY_MILLIS;
            (days.contains(&low) && days.contains(&high)).then_some(())?;
            Some((raw(date(low))?, raw(date(high))?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let (low, high) = union_of(groups.iter().map(|group| integers(group)).collect::<Option<Vec<_>>>()?)?;
            let (low, cut) = (low.div_euclid(1000), high.rem_euclid(1000));
            let high = high.div_euclid(1000) + i64::from(cut != 0);
            (YEARS.contains(&low) && YEARS.contains(&high)).then_some(())?;
            Some((raw(time(low))?, raw(time(high))?))
        }
        DataType::Decimal128(precision, scale) => {
            let of = |group: &&Statistics| match group {
                Statistics::FixedLenByteArray(of) => Some((integer(of.min_opt()?)?, integer(of.max_opt()?)?)),
                group => integers(group).map(|(min, max)| (i128::from(min), i128::from(max))),
            };
            let (low, high) = union_of(groups.iter().map(of).collect::<Option<Vec<_>>>()?)?;
            let number = |value| RawValue::from_string(Decimal128Type::format_decimal(value, *precision, *scale)).ok();
            Some((number(low)?, number(high)?))
        }
        _ => None,
    }
}

fn raw(value: impl Serialize) -> Option<Box<RawValue>> {
    to_raw_value(&value).ok()
}

fn integers(group: &Statistics) -> Option<(i64, i64)> {
    match group {
        Statistics::Int32(of) => Some((i64::from(*of.min_opt()?), i64::from(*of.max_opt()?))),
        Statistics::Int64(of) => Some((*of.min_opt()?, *of.max_opt()?)),
        _ => None,
    }
}

/// A big-endian number of up to 16 bytes.
fn integer(bytes: &FixedLenByteArray) -> Option<i128> {
    let bytes = bytes.as_bytes();
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; 16];
    wide.get_mut(16usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

/// The least minimum and the greatest maximum.
fn union_of<T: Ord>(bounds: Vec<(T, T)>) -> Option<(T, T)> {
    bounds.into_iter().reduce(|(low, high), (min, max)| (low.min(min), high.max(max)))
}

/// `YYYY-MM-DDThh:mm:ss.mmmZ`.
fn time(millis: i64) -> String {
    let second = Instant::from_seconds(millis.div_euclid(1000)).to_string();
    format!("{}.{:03}Z", second.trim_end_matches('Z'), millis.rem_euclid(1000))
}

/// `YYYY-MM-DD`, of days since 1970.
fn date(days: i64) -> String {
    let midnight = Instant::from_seconds(days * (DAY_MILLIS / 1000)).to_string();
    midnight.split('T').next().unwrap_or_default().to_owned()
}

/// A text not greater than those bytes, which may be cut off inside a character.
pub(crate) fn text_below(bytes: &ByteArray) -> String {
    valid_prefix(bytes.data()).to_owned()
}

/// A text not less than those bytes; `None` when there is none.
pub(crate) fn text_above(bytes: &ByteArray) -> Option<String> {
    let text = valid_prefix(bytes.data());
    if text.len() == bytes.data().len() {
        Some(text.to_owned())
    } else {
        successor(text.chars().take(TEXT_CHARS).collect())
    }
}

/// The longest prefix that is valid UTF-8.
fn valid_prefix(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

pub(crate) fn truncate_down(text: &str) -> String {
    text.chars().take(TEXT_CHARS).collect()
}

/// The shortest text of at most 32 characters that is not less than `text`; `None` when there is none.
pub(crate) fn truncate_up(text: &str) -> Option<String> {
    let cut: Vec<char> = text.chars().take(TEXT_CHARS).collect();
    if cut.len() == text.chars().count() {
        return Some(text.to_owned());
    }
    successor(cut)
}

/// The shortest text that is greater than every text with this prefix.
fn successor(mut text: Vec<char>) -> Option<String> {
    while let Some(last) = text.pop() {
        // The next character; surrogates are not characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            text.push(next);
            return Some(text.into_iter().collect());
        }
    }
    None
}
