//! Results as one block per row, a line per column, for reading long texts: nothing is cut.

use std::io::Write;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::output::cells::{Cells, names};
use crate::output::wrapping::wrap;

/// What stands before the further lines of a text, so that none looks like a column.
const HANG: &str = "  ";

/// Records that are being written.
pub(crate) struct Records<W> {
    writer: W,
    names: Vec<String>,
    /// Columns of the terminal, and the rows that it gets.
    limit: Option<(usize, usize)>,
    rows: usize,
    is_cut: bool,
}

impl<W: Write> Records<W> {
    /// Begins records with these columns.
    pub(crate) fn new(writer: W, schema: &SchemaRef, limit: Option<(usize, usize)>) -> Self {
        Self { writer, names: names(schema), limit, rows: 0, is_cut: false }
    }

    /// Writes rows; `false` when the terminal has enough of them.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<bool> {
        let texts = Cells::new(batch)?;
        for row in 0..batch.num_rows() {
            if self.limit.is_some_and(|limit| self.rows == limit.1) {
                self.is_cut = true;
                return Ok(false);
            }
            if self.rows > 0 {
                writeln!(self.writer)?;
            }
            self.rows += 1;
            for (name, text) in self.names.iter().zip(texts.row(row)) {
                let columns = self.limit.map_or(usize::MAX, |(columns, _)| columns.saturating_sub(HANG.len()));
                for (at, line) in wrap(&format!("{name}: {text}"), columns).iter().enumerate() {
                    let hang = if at == 0 { "" } else { HANG };
                    writeln!(self.writer, "{}", format!("{hang}{line}").trim_end())?;
                }
            }
        }
        Ok(true)
    }

    /// Ends the records.
    pub(crate) fn finish(mut self) -> Result<W> {
        if self.is_cut {
            writeln!(self.writer, "\n... and more: `--output FILE` gets every row")?;
        }
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn shown(limit: Option<(usize, usize)>) -> String {
        let messages = StringArray::from(vec![Some("Hello,\r\n\r\nid: forged\u{1b}[31m and more"), None]);
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("message", Arc::new(messages)),
        ])
        .unwrap();
        let mut records = Records::new(Vec::new(), &rows.schema(), limit);
        records.push(&rows).unwrap();
        String::from_utf8(records.finish().unwrap()).unwrap()
    }

    #[test]
    fn a_column_has_a_line_and_a_text_keeps_its_own() {
        let wanted = "id: 1\nmessage: Hello,\n\n  id: forged [31m and more\n\nid: 2\nmessage:\n";
        assert_eq!(shown(None), wanted);
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let wanted =
            "id: 1\nmessage: Hello,\n\n  id: forged [31m\n  and more\n\n... and more: `--output FILE` gets every row\n";
        assert_eq!(shown(Some((20, 1))), wanted);
    }
}
