//! Results as one block per row, a line per column, for reading long texts: nothing is cut.

use std::io::Write;

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::output::cells::{Cells, Times, names};
use crate::output::wrapping::wrap;

/// What stands before the further lines of a text, so that none looks like a column.
const HANG: &str = "  ";

/// Records that are being written.
pub(crate) struct Records<W> {
    writer: W,
    names: Vec<String>,
    /// Columns of the terminal.
    columns: Option<usize>,
    rows: usize,
}

impl<W: Write> Records<W> {
    /// Begins records with these columns.
    pub(crate) fn new(writer: W, schema: &SchemaRef, columns: Option<usize>) -> Self {
        Self { writer, names: names(schema), columns, rows: 0 }
    }

    /// Writes rows.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let texts = Cells::new(batch, Times::Exact)?;
        for row in 0..batch.num_rows() {
            if self.rows > 0 {
                writeln!(self.writer)?;
            }
            self.rows += 1;
            for (name, text) in self.names.iter().zip(texts.row(row)) {
                let columns = self.columns.map_or(usize::MAX, |columns| columns.saturating_sub(HANG.len()));
                for (at, line) in wrap(&format!("{name}: {text}"), columns).iter().enumerate() {
                    let hang = if at == 0 { "" } else { HANG };
                    writeln!(self.writer, "{}", format!("{hang}{line}").trim_end())?;
                }
            }
        }
        Ok(())
    }

    /// Ends the records.
    pub(crate) fn finish(self) -> W {
        self.writer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn shown(columns: Option<usize>) -> String {
        let messages = StringArray::from(vec![Some("Hello,\r\n\r\nid: forged\u{1b}[31m and more"), None]);
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("message", Arc::new(messages)),
        ])
        .unwrap();
        let mut records = Records::new(Vec::new(), &rows.schema(), columns);
        records.push(&rows).unwrap();
        String::from_utf8(records.finish()).unwrap()
    }

    #[test]
    fn a_column_has_a_line_and_a_text_keeps_its_own() {
        let wanted = "id: 1\nmessage: Hello,\n\n  id: forged [31m and more\n\nid: 2\nmessage:\n";
        assert_eq!(shown(None), wanted);
    }

    #[test]
    fn lines_fit_a_terminal() {
        let wanted = "id: 1\nmessage: Hello,\n\n  id: forged [31m\n  and more\n\nid: 2\nmessage:\n";
        assert_eq!(shown(Some(20)), wanted);
    }
}
