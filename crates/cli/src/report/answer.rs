//! What a query returned, as values of Rust.

use anyhow::{Result, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use copilot_lake_query::{Session, query};
use copilot_lake_tables::Instant;
use futures::TryStreamExt;

use super::weeks::CalendarDay;

/// A value of a row, or a cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing is known.
    Null,
    Text(String),
    Count(i64),
    Number(f64),
    Day(CalendarDay),
    Moment(Instant),
}

impl Value {
    /// A whole or a broken number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A number, or nothing.
    pub(super) fn of_number(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }
}

/// The rows of a query, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Answer {
    /// Runs a shipped query as it is, and reads no more than its first rows.
    pub(super) async fn of(session: &Session, name: &str, limit: usize) -> Result<Self> {
        let shipped = query(name).ok_or_else(|| anyhow!("no shipped query `{name}`"))?;
        let mut found = session.rows(shipped.sql).await?;
        let columns = found.schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(batch) = found.batches.try_next().await?
        {
            rows.extend(values(&batch)?);
        }
        rows.truncate(limit);
        Ok(Self { columns, rows })
    }

    #[cfg(test)]
    pub(super) fn made(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = AnswerRow<'_>> {
        self.rows.iter().map(|values| AnswerRow { columns: &self.columns, values })
    }
}

/// A row, whose values are found by the names of columns.
#[derive(Clone, Copy)]
pub(super) struct AnswerRow<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl<'a> AnswerRow<'a> {
    pub(super) fn value(self, name: &str) -> &'a Value {
        const NULL: &Value = &Value::Null;
        let at = self.columns.iter().position(|column| column == name);
        at.map_or(NULL, |at| &self.values[at])
    }

    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.value(name).number()
    }

    /// Nothing counts as 0: for sums.
    pub(super) fn count(self, name: &str) -> i64 {
        match self.value(name) {
            Value::Count(count) => *count,
            _ => 0,
        }
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        match self.value(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn day(self, name: &str) -> Option<CalendarDay> {
        match self.value(name) {
            Value::Day(day) => Some(*day),
            _ => None,
        }
    }

    pub(super) fn moment(self, name: &str) -> Option<Instant> {
        match self.value(name) {
            Value::Moment(moment) => Some(*moment),
            _ => None,
        }
    }
}

fn values(batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

fn column(array: &ArrayRef) -> Result<Vec<Value>> {
    let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
    Ok(match array.data_type() {
        DataType::Int32 | DataType::Int64 => {
            let array = cast(array, &DataType::Int64)?;
            array.as_primitive::<Int64Type>().iter().map(|value| or_null(value.map(Value::Count))).collect()
        }
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().iter().map(|value| or_null(value.map(Value::Number))).collect()
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().iter();
            days.map(|value| or_null(value.map(|days| Value::Day(CalendarDay(days))))).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let moments = array.as_primitive::<TimestampMicrosecondType>().iter();
            moments.map(|value| or_null(value.map(|micros| Value::Moment(Instant(micros))))).collect()
        }
        _ => {
            let texts = cast(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            texts.iter().map(|value| or_null(value.map(|text| Value::Text(text.to_owned())))).collect()
        }
    })
}
