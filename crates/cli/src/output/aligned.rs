//! Results as aligned columns, for reading: numbers to the right, texts on several lines where a terminal has no room for
//! them on one.

use std::io::Write;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use console::measure_text_width as width;

use crate::output::cells::{Cells, Times, names};
use crate::output::column_widths::{Share, widths};
use crate::output::wrapping::{split_at_width, widest_part, wrap};

/// Rows that decide the widths of columns; later ones may be wider.
const SAMPLE: usize = 1000;

/// The least width of a column of texts that do not fit.
const LEAST: usize = 12;

/// Parts of a column's name that are wider than this are broken.
const NAME_PART: usize = 24;

/// Lines of a row on a terminal; a text that needs more ends with `…`.
const LINES: usize = 8;

/// Without a terminal, texts that are wider than this make no other row wider.
const PADDED: usize = 60;

const GAP: &str = "  ";

/// What stands before the further lines of a row, so that none looks like a row or a message.
const HANG: &str = " ";

/// The end of a line in a text whose row has only one line.
const LINE_END: &str = " ↵ ";

/// A table that is being written.
pub(crate) struct Aligned<W> {
    writer: W,
    names: Vec<String>,
    right: Vec<bool>,
    /// Columns of the terminal.
    terminal: Option<usize>,
    /// The first rows, until the widths are known.
    sample: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    left_out: LeftOut,
}

/// What a terminal did not get.
#[derive(Debug, Default)]
struct LeftOut {
    /// Whether a text was cut.
    texts: bool,
    /// The names of columns.
    columns: Vec<String>,
}

impl LeftOut {
    /// How to get it.
    fn footer(&self) -> String {
        let mut lines = String::new();
        if self.texts {
            lines.push_str(
                "... texts that end with `…` are longer: `--format record` shows all of them, `--output FILE` too\n",
            );
        }
        if !self.columns.is_empty() {
            let names = self.columns.join(", ");
            lines.push_str(&format!("... no room for {names}: `--format record` has a line for each column\n"));
        }
        lines
    }
}

impl<W: Write> Aligned<W> {
    /// Begins a table with these columns, for a terminal that is so wide, or for a file.
    pub(crate) fn new(writer: W, schema: &SchemaRef, terminal: Option<usize>) -> Self {
        Self {
            writer,
            names: names(schema),
            right: schema.fields().iter().map(|field| field.data_type().is_numeric()).collect(),
            terminal,
            sample: Vec::new(),
            widths: None,
            left_out: LeftOut::default(),
        }
    }

    /// Writes rows.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = if self.terminal.is_some() { Times::Seconds } else { Times::Exact };
        let texts = Cells::new(batch, times)?;
        for row in 0..batch.num_rows() {
            let cells = texts.row(row);
            if self.widths.is_some() {
                self.row(&cells)?;
            } else {
                self.sample.push(cells);
                if self.sample.len() == SAMPLE {
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    /// Ends the table.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.settle()?;
        self.writer.write_all(self.left_out.footer().as_bytes())?;
        Ok(self.writer)
    }

    /// Fixes the widths and writes the rows that waited for them.
    fn settle(&mut self) -> Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let sample = std::mem::take(&mut self.sample);
        let widths = match self.terminal {
            Some(columns) => self.fitted(&sample, columns),
            None => (0..self.names.len()).map(|at| self.padded(&sample, at)).collect(),
        };
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
            self.row(row)?;
        }
        Ok(())
    }

    /// The widths at which a table of these rows fits a terminal, without the last columns if there is no room for them.
    fn fitted(&mut self, sample: &[Vec<String>], columns: usize) -> Vec<usize> {
        let mut shares: Vec<_> = (0..self.names.len()).map(|at| self.share(sample, at)).collect();
        let room = |shares: &[Share]| columns.saturating_sub(GAP.len() * shares.len().saturating_sub(1));
        while shares.len() > 1 && shares.iter().map(|share| share.least).sum::<usize>() > room(&shares) {
            shares.pop();
        }
        self.left_out.columns = self.names.split_off(shares.len());
        widths(&shares, room(&shares))
    }

    fn share(&self, sample: &[Vec<String>], at: usize) -> Share {
        let hang = if at == 0 { HANG.len() } else { 0 };
        let (mut widest, mut content, mut filled) = (0, 0, 0_u32);
        for cell in sample.iter().map(|row| &row[at]).filter(|cell| !cell.is_empty()) {
            let hang = if cell.contains('\n') { hang } else { 0 };
            widest = widest.max(hang + cell.split('\n').map(width).max().unwrap_or_default());
            content += width(cell);
            filled += 1;
        }
        let name = &self.names[at];
        // A number stays on one line.
        let least = if self.right[at] { widest } else { widest.min(LEAST + hang) };
        Share {
            natural: widest.max(width(name)),
            least: least.max(widest_part(name).min(NAME_PART)),
            content: content as f64 / f64::from(filled.max(1)),
        }
    }

    /// The width of a column without a terminal.
    fn padded(&self, sample: &[Vec<String>], at: usize) -> usize {
        let cells = sample.iter().map(|row| width(&on_one_line(&row[at]))).filter(|wide| *wide <= PADDED);
        cells.max().unwrap_or_default().max(width(&self.names[at]))
    }

    fn row(&mut self, cells: &[String]) -> Result<()> {
        let cells = &cells[..self.names.len()];
        if self.terminal.is_none() {
            let cells: Vec<_> = cells.iter().map(|cell| on_one_line(cell)).collect();
            return self.line(&cells);
        }
        let lines: Vec<_> = cells.iter().enumerate().map(|(at, cell)| self.lines(at, cell)).collect();
        for line in 0..lines.iter().map(Vec::len).max().unwrap_or_default() {
            let parts: Vec<_> = lines.iter().map(|lines| lines.get(line).cloned().unwrap_or_default()).collect();
            self.line(&parts)?;
        }
        Ok(())
    }

    /// The lines of a cell on a terminal, at least one.
    fn lines(&mut self, at: usize, cell: &str) -> Vec<String> {
        let columns = self.widths.as_ref().map_or(usize::MAX, |widths| widths[at]);
        let is_one_line = !cell.contains('\n') && width(cell) <= columns;
        if is_one_line || self.right[at] {
            return vec![cell.to_owned()];
        }
        let hang = if at == 0 { HANG } else { "" };
        let mut lines = wrap(cell, columns.saturating_sub(hang.len()));
        lines.retain(|line| !line.is_empty());
        if lines.len() > LINES {
            self.left_out.texts = true;
            lines.truncate(LINES);
            if let Some(last) = lines.last_mut() {
                let room = columns.saturating_sub(hang.len() + 1);
                let kept = if width(last) <= room { last.as_str() } else { split_at_width(last, room).0 };
                *last = format!("{kept}…");
            }
        }
        for line in lines.iter_mut().skip(1) {
            line.insert_str(0, hang);
        }
        lines
    }

    fn line(&mut self, cells: &[String]) -> Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let mut line = String::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                line.push_str(GAP);
            }
            let padding = " ".repeat(widths[at].saturating_sub(width(cell)));
            if self.right[at] {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
        }
        writeln!(self.writer, "{}", line.trim_end())?;
        Ok(())
    }
}

/// A text whose lines are told apart by a mark.
fn on_one_line(cell: &str) -> String {
    cell.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>().join(LINE_END)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, StringArray, TimestampMicrosecondArray};

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

    fn table(rows: &RecordBatch, terminal: Option<usize>) -> String {
        let mut table = Aligned::new(Vec::new(), &rows.schema(), terminal);
        table.push(rows).unwrap();
        String::from_utf8(table.finish().unwrap()).unwrap()
    }

    #[test]
    fn aligns_by_width_and_keeps_rows_on_lines() {
        let wanted = format!(
            "text                                 rate  sum\n日本 a ↵ b, and a long rest of it  0.6667  1.5\n{:>46}\n",
            "2"
        );
        assert_eq!(table(&batch(), None), wanted);
    }

    #[test]
    fn no_text_controls_the_terminal_or_the_direction() {
        let rows = RecordBatch::try_from_iter([(
            "a\u{1b}b",
            Arc::new(StringArray::from(vec!["\u{1b}[31mx\u{9b}y\u{202e}z\u{2069}"])) as ArrayRef,
        )])
        .unwrap();
        assert_eq!(table(&rows, None), "a b\n[31mx yz\n");
    }

    #[test]
    fn long_names_take_several_lines_where_they_must() {
        let rates = RecordBatch::try_from_iter([
            ("label", Arc::new(StringArray::from(vec!["Ask a question"])) as ArrayRef),
            ("net_positive_rate", Arc::new(Float64Array::from(vec![0.5]))),
        ])
        .unwrap();
        let text = table(&rates, Some(25));
        let wanted = [("", "net_"), ("", "positive_"), ("label", "rate"), ("Ask a question", "0.5000")];
        let wanted: String = wanted.iter().map(|(label, rate)| format!("{label:<14}  {rate:>9}\n")).collect();
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let text = table(&batch(), Some(30));
        let row =
            |text: &str, rate: &str, sum: &str| format!("{text}{}  {rate:>6}  {sum:>3}", " ".repeat(17 - width(text)));
        let wanted = [
            row("text", "rate", "sum"),
            row("日本 a", "0.6667", "1.5"),
            " b, and a long".to_owned(),
            " rest of it".to_owned(),
            row("", "", "2"),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn times_are_cut_to_seconds_on_a_terminal_only() {
        let times = TimestampMicrosecondArray::from(vec![1_500_000]);
        let rows = RecordBatch::try_from_iter([
            ("utc", Arc::new(times.clone().with_timezone("UTC")) as ArrayRef),
            ("zone", Arc::new(times.clone().with_timezone("+02:00"))),
            ("local", Arc::new(times)),
        ])
        .unwrap();
        let cells = |terminal| {
            let text = table(&rows, terminal);
            text.lines().last().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cells(Some(80)), ["1970-01-01T00:00:01Z", "1970-01-01T02:00:01+02:00", "1970-01-01T00:00:01"]);
        assert_eq!(cells(None)[0], "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn columns_without_room_are_left_out_from_the_right_and_named() {
        let rate = || Arc::new(Float64Array::from(vec![0.5])) as ArrayRef;
        let rows = RecordBatch::try_from_iter([
            ("label", Arc::new(StringArray::from(vec!["Ask a question"])) as ArrayRef),
            ("interactions_conversation", rate()),
            ("net_positive_rate", rate()),
            ("n", rate()),
        ])
        .unwrap();
        // The name of the second column is broken where it has an underscore, though its cells are narrower.
        let text = table(&rows, Some(30));
        let wanted = [("", "interactions_"), ("label", "conversation"), ("Ask a question", "0.5000")];
        let wanted: String = wanted.iter().map(|(label, rate)| format!("{label:<14}  {rate:>14}\n")).collect();
        let footer = "... no room for net_positive_rate, n: `--format record` has a line for each column\n";
        assert_eq!(text, wanted + footer);
    }

    /// A conversation, as a person reads it.
    fn conversation() -> RecordBatch {
        let ids = StringArray::from(vec!["6f9619ff-8b86-d011-b42d-00c04fc964ff"; 2]);
        let messages = ["Where is my order?".to_owned(), "It left the house today. ".repeat(280)];
        let sources = StringArray::from(vec![None, Some("KB-20401 Descaling the X-200\nKB-20421 Visits")]);
        let intents = StringArray::from(vec!["find an order"; 2]);
        RecordBatch::try_from_iter([
            ("transcript_id", Arc::new(ids.clone()) as ArrayRef),
            ("message", Arc::new(StringArray::from_iter_values(messages))),
            ("sources", Arc::new(sources)),
            ("request_id", Arc::new(ids)),
            ("customer_intent", Arc::new(intents)),
        ])
        .unwrap()
    }

    #[test]
    fn on_a_terminal_ids_give_way_to_texts_and_nothing_short_is_cut() {
        let text = table(&conversation(), Some(100));
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("...")).collect();
        assert!(lines.iter().all(|line| width(line) <= 100), "{text}");
        // The message has the room that ids and short texts leave.
        assert!(text.contains("It left the house today. It left the"), "{text}");
        assert!(lines.iter().any(|line| line.starts_with("6f9619ff-")), "{text}");
        assert!(lines.iter().any(|line| line.starts_with(" 00c04fc964ff")), "{text}");
        assert!(text.contains("KB-20401") && text.contains("KB-20421"), "{text}");
        // A heading of two lines, a row of the lines of its id, and a long one.
        assert_eq!(lines.len(), 2 + 4 + LINES, "{text}");
        assert_eq!(text.matches('…').count(), 2, "{text}");
        assert!(text.ends_with("`--format record` shows all of them, `--output FILE` too\n"), "{text}");
    }

    #[test]
    fn without_a_terminal_a_long_text_pads_no_other_row() {
        let text = table(&conversation(), None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[..2].iter().all(|line| width(line) < 200), "{text}");
        assert!(lines[2].contains("KB-20401 Descaling the X-200 ↵ KB-20421 Visits"), "{text}");
        assert_eq!(lines[2].matches("It left the house today.").count(), 280, "nothing is cut");
    }

    #[test]
    fn every_line_fits_a_narrow_terminal() {
        for columns in [14, 20, 40, 60] {
            let text = table(&conversation(), Some(columns));
            assert!(text.lines().all(|line| line.starts_with("...") || width(line) <= columns), "{columns}: {text}");
            assert!(text.contains("\n... no room for "), "{columns}: {text}");
        }
    }
}
