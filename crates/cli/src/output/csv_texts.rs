//! Texts of CSV: as they are in a file, harmless on a terminal, and no formulas where that was requested.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::output::printable::{cleaned, is_control};

/// What is done to every text before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CsvTexts {
    /// Leave out controls: a terminal would obey them.
    pub(super) clean: bool,
    /// Put an apostrophe before what a spreadsheet takes for a formula.
    pub(super) defuse: bool,
}

impl CsvTexts {
    /// The columns, with their names as texts and every column of texts as one of plain strings.
    pub(super) fn schema(self, schema: &SchemaRef) -> SchemaRef {
        if self.changes_nothing() {
            return Arc::clone(schema);
        }
        let field = |field: &Arc<Field>| {
            let kind = if is_text(field.data_type()) { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(self.text(field.name()), kind, field.is_nullable())
        };
        Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
    }

    /// The rows, in the columns of [`CsvTexts::schema`].
    pub(super) fn rows(self, batch: &RecordBatch) -> Result<RecordBatch> {
        if self.changes_nothing() {
            return Ok(batch.clone());
        }
        let column = |column: &ArrayRef| -> Result<ArrayRef> {
            if !is_text(column.data_type()) {
                return Ok(Arc::clone(column));
            }
            let texts = cast(column, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>().iter().map(|text| text.map(|text| self.text(text)));
            Ok(Arc::new(texts.collect::<StringArray>()))
        };
        let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema(&batch.schema()), columns)?)
    }

    fn changes_nothing(self) -> bool {
        !self.clean && !self.defuse
    }

    fn text(self, text: &str) -> String {
        let text = if self.clean { cleaned(text) } else { Cow::Borrowed(text) };
        if self.defuse { defused(&text).into_owned() } else { text.into_owned() }
    }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// The text, behind an apostrophe if a spreadsheet would take it for a formula: it begins, blanks and controls left out,
/// with `=`, `+`, `-` or `@`, or their full-width forms.
///
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn defused(text: &str) -> Cow<'_, str> {
    let first = text.chars().find(|c| !c.is_whitespace() && !is_control(*c) && *c != '\u{feff}');
    let begins_a_formula = matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'));
    if begins_a_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_is_defused() {
        for text in [
            "=1+1",
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{feff}=1",
            "＝1",
            "-",
            "\u{200e}=1",
        ] {
            assert_eq!(defused(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", "1", "a=b", "'=1", "1-2", "a@b", " ", "\n"] {
            assert_eq!(defused(text), text, "{text:?}");
        }
    }

    #[test]
    fn only_texts_change_and_only_as_requested() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("=1\u{9b}2"), None]));
        let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![-1, 2]));
        let views = cast(&names, &DataType::Utf8View).unwrap();
        let batch = RecordBatch::try_from_iter([("=n", Arc::clone(&names)), ("v", views), ("i", numbers)]).unwrap();
        for (clean, defuse, name, value) in [
            (false, false, "=n", "=1\u{9b}2"),
            (true, false, "=n", "=1 2"),
            (false, true, "'=n", "'=1\u{9b}2"),
            (true, true, "'=n", "'=1 2"),
        ] {
            let texts = CsvTexts { clean, defuse };
            let rows = texts.rows(&batch).unwrap();
            assert_eq!(rows.schema(), texts.schema(&batch.schema()));
            assert_eq!((rows.schema().field(0).name().as_str(), rows.column(2)), (name, batch.column(2)));
            for at in 0..2 {
                let column = cast(rows.column(at), &DataType::Utf8).unwrap();
                let column = column.as_string::<i32>();
                assert_eq!((column.value(0), column.iter().flatten().count()), (value, 1), "{clean} {defuse}");
            }
        }
    }
}
