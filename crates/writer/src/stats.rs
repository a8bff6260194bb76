//! The statistics that the log keeps of a file: made from the Parquet metadata, never tighter than the truth.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use copilot_lake_tables::Instant;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// The log keeps statistics of that many leading columns.
const COLUMNS: usize = 32;

/// Characters of a text bound.
const TEXT: usize = 32;

/// The JSON text of a file's statistics: `numRecords`, `minValues`, `maxValues`, `nullCount` of the first 32 columns.
///
/// Text bounds are cut to 32 characters, the upper one rounded up; times are rounded outward to milliseconds, as Delta
/// demands. Columns without a value, booleans and decimals have no bounds.
pub(crate) fn stats(schema: &Schema, metadata: &ParquetMetaData) -> String {
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (at, field) in schema.fields().iter().enumerate().take(COLUMNS) {
        let groups = metadata.row_groups().iter().map(|group| group.column(at).statistics());
        let Some(mut groups) = groups.collect::<Option<Vec<_>>>() else { continue };
        let counts = groups.iter().map(|group| group.null_count_opt());
        let Some(counts) = counts.collect::<Option<Vec<_>>>() else { continue };
        nulls.insert(field.name().clone(), json!(counts.iter().sum::<u64>()));
        // Row groups without a value bound nothing.
        let rows = metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs());
        let mut full = counts.iter().zip(rows).map(|(nulls, rows)| *nulls < rows);
        groups.retain(|_| full.next().unwrap_or(true));
        let (min, max) = bounds(field.data_type(), &groups);
        if let (Some(min), Some(max)) = (min, max) {
            low.insert(field.name().clone(), min);
            high.insert(field.name().clone(), max);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls }).to_string()
}

fn bounds(ty: &DataType, groups: &[&Statistics]) -> (Option<Value>, Option<Value>) {
    match ty {
        DataType::Utf8 => {
            let (min, max) = merged(groups, |group| match group {
                Statistics::ByteArray(of) => {
                    let text = |value: &parquet::data_type::ByteArray| {
                        // A bound that the file cut inside a character is not text: it bounds nothing.
                        value.as_utf8().map(str::to_owned).ok()
                    };
                    (of.min_opt().and_then(text), of.max_opt().and_then(text))
                }
                _ => (None, None),
            });
            (min.map(|text| json!(cut_down(&text))), max.and_then(|text| cut_up(&text)).map(Value::from))
        }
        DataType::Int32 => {
            let (min, max) = merged(groups, |group| match group {
                Statistics::Int32(of) => (of.min_opt().copied(), of.max_opt().copied()),
                _ => (None, None),
            });
            (min.map(Value::from), max.map(Value::from))
        }
        DataType::Int64 => {
            let (min, max) = merged(groups, int64);
            (min.map(Value::from), max.map(Value::from))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let (min, max) = merged(groups, int64);
            let down = |micros: i64| time(micros.div_euclid(1000));
            let up = |micros: i64| time(micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) != 0));
            (min.map(down).map(Value::from), max.map(up).map(Value::from))
        }
        _ => (None, None),
    }
}

fn int64(group: &Statistics) -> (Option<i64>, Option<i64>) {
    match group {
        Statistics::Int64(of) => (of.min_opt().copied(), of.max_opt().copied()),
        _ => (None, None),
    }
}

/// The least and the greatest bound; a row group that lacks a bound takes the bounds away.
fn merged<T: Ord>(
    groups: &[&Statistics],
    of: impl Fn(&Statistics) -> (Option<T>, Option<T>),
) -> (Option<T>, Option<T>) {
    let (mut low, mut high): (Option<T>, Option<T>) = (None, None);
    for group in groups {
        match of(group) {
            (Some(min), Some(max)) => {
                low = Some(match low {
                    Some(low) => low.min(min),
                    None => min,
                });
                high = Some(match high {
                    Some(high) => high.max(max),
                    None => max,
                });
            }
            _ => return (None, None),
        }
    }
    (low, high)
}

/// `YYYY-MM-DDThh:mm:ss.mmmZ`.
fn time(millis: i64) -> String {
    let second = Instant::from_seconds(millis.div_euclid(1000)).to_string();
    format!("{}.{:03}Z", second.trim_end_matches('Z'), millis.rem_euclid(1000))
}

pub(crate) fn cut_down(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

/// The shortest text of at most 32 characters that is not less; `None` when there is none.
pub(crate) fn cut_up(text: &str) -> Option<String> {
    let mut cut: Vec<char> = text.chars().take(TEXT).collect();
    if cut.len() == text.chars().count() {
        return Some(text.to_owned());
    }
    while let Some(last) = cut.pop() {
        // The next character; surrogates are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            cut.push(next);
            return Some(cut.into_iter().collect());
        }
    }
    None
}
