//! Small tables for people: aligned columns without lines, all rows in memory.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// A table of these rows, each line trimmed and ended; `right` says which columns hold numbers.
pub(crate) fn aligned<R>(rows: impl IntoIterator<Item = R>, right: &[usize]) -> String
where
    R: IntoIterator<Item: Into<String>>,
{
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(|(at, text)| {
            let alignment = if right.contains(&at) { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text.into()).set_alignment(alignment)
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_two_blanks_apart() {
        let rows = [["TABLE", "ROWS", "WHAT"], ["a", "1,000", ""], ["long", "1", "x y"]];
        assert_eq!(aligned(rows, &[1]), "TABLE   ROWS  WHAT\na      1,000\nlong       1  x y\n");
    }
}
