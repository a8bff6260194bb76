//! Results as aligned columns, for reading: numbers to the right, cut to the width of a terminal.

use std::io::Write;

use anyhow::Result;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
use console::measure_text_width as width;

use crate::output::printable::cleaned;

/// Rows that decide the widths of columns; later ones may be wider.
const SAMPLE: usize = 1000;

/// The least width to which a text column is cut.
const LEAST: usize = 12;

const GAP: &str = "  ";

/// A table that is being written.
pub(crate) struct Aligned<W> {
    writer: W,
    names: Vec<String>,
    right: Vec<bool>,
    /// Columns of the terminal, and the rows that it gets.
    limit: Option<(usize, usize)>,
    /// The first rows, until the widths are known.
    sample: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    rows: usize,
}

impl<W: Write> Aligned<W> {
    /// Begins a table with these columns.
    pub(crate) fn new(writer: W, schema: &SchemaRef, limit: Option<(usize, usize)>) -> Self {
        Self {
            writer,
            names: schema.fields().iter().map(|field| cleaned(field.name()).into_owned()).collect(),
            right: schema.fields().iter().map(|field| field.data_type().is_numeric()).collect(),
            limit,
            sample: Vec::new(),
            widths: None,
            rows: 0,
        }
    }

    /// Writes rows; `false` when the terminal has enough of them.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<bool> {
        let options = FormatOptions::default().with_duration_format(DurationFormat::Pretty);
        let columns = batch.columns().iter().map(|column| Cells::new(column, &options)).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            if self.limit.is_some_and(|limit| self.rows == limit.1) {
                self.settle()?;
                writeln!(self.writer, "... and more: `--output FILE` gets every row")?;
                return Ok(false);
            }
            self.rows += 1;
            let cells: Vec<_> = columns.iter().map(|column| column.text(row)).collect();
            if self.widths.is_some() {
                self.line(&cells)?;
            } else {
                self.sample.push(cells);
                if self.sample.len() == SAMPLE {
                    self.settle()?;
                }
            }
        }
        Ok(true)
    }

    /// Ends the table.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.settle()?;
        Ok(self.writer)
    }

    /// Fixes the widths and writes the rows that waited for them.
    fn settle(&mut self) -> Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let sample = std::mem::take(&mut self.sample);
        let cells = |at: usize| sample.iter().map(|row| width(&row[at])).max().unwrap_or_default();
        let mut widths: Vec<_> = (0..self.names.len()).map(|at| cells(at).max(width(&self.names[at]))).collect();
        if let Some((columns, _)) = self.limit {
            // Names are wrapped first, then texts are cut.
            let word = |at: usize| self.names[at].split_inclusive('_').map(width).max().unwrap_or_default();
            fit(&mut widths, columns, |at| cells(at).max(word(at)));
            fit(&mut widths, columns, |at| if self.right[at] { usize::MAX } else { LEAST });
        }
        let names: Vec<_> = self.names.iter().zip(&widths).map(|(name, width)| wrap(name, *width)).collect();
        self.widths = Some(widths);
        let height = names.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            // The last words stand right above the values.
            let part = |name: &Vec<String>| (line + name.len()).checked_sub(height).map(|at| name[at].clone());
            let parts: Vec<_> = names.iter().map(|name| part(name).unwrap_or_default()).collect();
            self.line(&parts)?;
        }
        for row in &sample {
            self.line(row)?;
        }
        Ok(())
    }

    fn line(&mut self, cells: &[String]) -> Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push_str(GAP);
            }
            let cell = if self.limit.is_some() { cut(cell, widths[at]) } else { cell.clone() };
            let padding = " ".repeat(widths[at].saturating_sub(width(&cell)));
            if self.right[at] {
                line.push_str(&padding);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&padding);
            }
        }
        writeln!(self.writer, "{}", line.trim_end())?;
        Ok(())
    }
}

/// The texts of a column.
enum Cells<'a> {
    Float(&'a arrow::array::Float64Array),
    Decimal(ArrayFormatter<'a>),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef, options: &FormatOptions<'a>) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>()),
            DataType::Decimal128(..) => Self::Decimal(ArrayFormatter::try_new(column, options)?),
            _ => Self::Other(ArrayFormatter::try_new(column, options)?),
        })
    }

    fn text(&self, row: usize) -> String {
        match self {
            Self::Float(array) if array.is_null(row) => String::new(),
            // Enough for reading; the other formats have every digit.
            Self::Float(array) => format!("{:.4}", array.value(row)),
            Self::Decimal(formatter) => {
                let text = formatter.value(row).to_string();
                match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text,
                }
            }
            Self::Other(formatter) => cleaned(&formatter.value(row).to_string()).into_owned(),
        }
    }
}

/// Narrows the widest columns, none below its floor, until the line fits or every column is at its floor.
fn fit(widths: &mut [usize], columns: usize, floor: impl Fn(usize) -> usize) {
    let floors: Vec<_> = (0..widths.len()).map(floor).collect();
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        let widest = (0..widths.len()).filter(|at| widths[*at] > floors[*at]).max_by_key(|at| widths[*at]);
        let Some(widest) = widest else { return };
        widths[widest] -= 1;
    }
}

/// A column's name on lines of at most that width, broken behind `_`.
fn wrap(name: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_inclusive('_') {
        match lines.last_mut() {
            Some(line) if width(line) + width(word) <= columns => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text cut to that many columns of the terminal.
fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept) + 1 > columns {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let decimals = Decimal128Array::from(vec![1_500_000_000_000, 2_000_000_000_000]);
        RecordBatch::try_from_iter([
            ("text", Arc::new(StringArray::from(vec![Some("日本 a\nb, and a long rest of it"), None])) as ArrayRef),
            ("rate", Arc::new(Float64Array::from(vec![Some(2.0 / 3.0), None]))),
            ("sum", Arc::new(decimals.with_precision_and_scale(38, 12).unwrap())),
        ])
        .unwrap()
    }

    fn table(limit: Option<(usize, usize)>, times: usize) -> String {
        let mut table = Aligned::new(Vec::new(), &batch().schema(), limit);
        for _ in 0..times {
            if !table.push(&batch()).unwrap() {
                break;
            }
        }
        String::from_utf8(table.finish().unwrap()).unwrap()
    }

    #[test]
    fn aligns_by_width_and_keeps_rows_on_lines() {
        let wanted = format!(
            "text                               rate  sum\n日本 a b, and a long rest of it  0.6667  1.5\n{:>44}\n",
            "2"
        );
        assert_eq!(table(None, 1), wanted);
    }

    #[test]
    fn no_text_controls_the_terminal_or_the_direction() {
        let rows = RecordBatch::try_from_iter([(
            "a\u{1b}b",
            Arc::new(StringArray::from(vec!["\u{1b}[31mx\u{9b}y\u{202e}z\u{2069}"])) as ArrayRef,
        )])
        .unwrap();
        let mut table = Aligned::new(Vec::new(), &rows.schema(), None);
        table.push(&rows).unwrap();
        assert_eq!(String::from_utf8(table.finish().unwrap()).unwrap(), "a b\n[31mx yz\n");
    }

    #[test]
    fn long_names_take_several_lines_where_they_must() {
        let rates = RecordBatch::try_from_iter([
            ("label", Arc::new(StringArray::from(vec!["Ask a question"])) as ArrayRef),
            ("net_positive_rate", Arc::new(Float64Array::from(vec![0.5]))),
        ])
        .unwrap();
        let mut table = Aligned::new(Vec::new(), &rates.schema(), Some((25, 10)));
        table.push(&rates).unwrap();
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        let wanted = [("", "net_"), ("", "positive_"), ("label", "rate"), ("Ask a question", "0.5000")];
        let wanted: String = wanted.iter().map(|(label, rate)| format!("{label:<14}  {rate:>9}\n")).collect();
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let text = table(Some((30, 3)), 2);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "日本 a b, and a …  0.6667  1.5");
        assert_eq!(width(lines[1]), 30);
        assert_eq!(lines.len(), 5);
        assert!(lines[4].starts_with("... and more"));
    }
}
