//! The values of a result as texts, for reading: every other form has their digits.

use anyhow::Result;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};

use crate::output::printable::{cleaned, cleaned_lines};

/// The names of columns.
pub(crate) fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| cleaned(field.name()).into_owned()).collect()
}

/// How exactly times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// With all of their digits.
    Exact,
    /// To the second.
    Seconds,
}

/// The texts of a batch.
pub(crate) struct Cells<'a>(Vec<FormattedColumn<'a>>);

impl<'a> Cells<'a> {
    /// Those of these rows.
    pub(crate) fn new(batch: &'a RecordBatch, times: Times) -> Result<Self> {
        let options = FormatOptions::default().with_duration_format(DurationFormat::Pretty);
        let formatted = |column| FormattedColumn::new(column, &options, times);
        Ok(Self(batch.columns().iter().map(formatted).collect::<Result<_>>()?))
    }

    /// The cells of a row. One that has several lines is broken by `\n`, and by nothing else.
    pub(crate) fn row(&self, row: usize) -> Vec<String> {
        self.0.iter().map(|column| column.text(row)).collect()
    }
}

enum FormattedColumn<'a> {
    Float(&'a Float64Array),
    Decimal(ArrayFormatter<'a>),
    Seconds(ArrayFormatter<'a>),
    Other(ArrayFormatter<'a>),
}

impl<'a> FormattedColumn<'a> {
    fn new(column: &'a ArrayRef, options: &FormatOptions<'a>, times: Times) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>()),
            DataType::Decimal128(..) => Self::Decimal(ArrayFormatter::try_new(column, options)?),
            DataType::Timestamp(..) if times == Times::Seconds => {
                Self::Seconds(ArrayFormatter::try_new(column, options)?)
            }
            _ => Self::Other(ArrayFormatter::try_new(column, options)?),
        })
    }

    fn text(&self, row: usize) -> String {
        match self {
            Self::Float(array) if array.is_null(row) => String::new(),
            Self::Float(array) => format!("{:.4}", array.value(row)),
            Self::Decimal(formatter) => {
                let text = formatter.value(row).to_string();
                match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text,
                }
            }
            Self::Seconds(formatter) => {
                let text = formatter.value(row).to_string();
                match text.split_once('.') {
                    Some((seconds, rest)) => {
                        format!("{seconds}{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit()))
                    }
                    None => text,
                }
            }
            Self::Other(formatter) => cleaned_lines(&formatter.value(row).to_string()).collect::<Vec<_>>().join("\n"),
        }
    }
}
