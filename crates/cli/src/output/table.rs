//! Small tables for people: aligned columns without lines, all rows in memory.

use comfy_table::{Cell, CellAlignment, Table, presets};
use console::measure_text_width as width;

use crate::output::wrapping::wrap;

/// Blanks between columns.
const GAP: u16 = 2;

/// The least width of a column whose texts are wrapped.
const LEAST: usize = 20;

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
        column.set_padding((0, GAP));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A table of texts as by [`aligned`], within so many columns of a terminal if there is one: the widest column is wrapped.
pub(crate) fn aligned_within<R>(rows: impl IntoIterator<Item = R>, terminal: Option<usize>) -> String
where
    R: IntoIterator<Item: Into<String>>,
{
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(Into::into).collect()).collect();
    if let Some(columns) = terminal {
        wrap_widest(&mut rows, columns);
    }
    aligned(rows, &[])
}

fn wrap_widest(rows: &mut [Vec<String>], columns: usize) {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or_default();
    let widths: Vec<_> = (0..count).map(widest).collect();
    let Some(column) = (0..count).max_by_key(|at| widths[*at]) else { return };
    let needed = widths.iter().sum::<usize>() + usize::from(GAP) * (count - 1);
    let excess = needed.saturating_sub(columns);
    if excess == 0 {
        return;
    }
    let room = widths[column].saturating_sub(excess).max(LEAST);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        *cell = wrap(cell, room).join("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_two_blanks_apart() {
        let rows = [["TABLE", "ROWS", "WHAT"], ["a", "1,000", ""], ["long", "1", "x y"]];
        assert_eq!(aligned(rows, &[1]), "TABLE   ROWS  WHAT\na      1,000\nlong       1  x y\n");
    }

    #[test]
    fn the_widest_column_is_wrapped_to_the_terminal() {
        let rows = [["QUERY", "WHAT", "N"], ["rates", "Feedback rates per scenario and week", "1"]];
        let wanted = "QUERY  WHAT                N\nrates  Feedback rates per  1\n       scenario and week\n";
        assert_eq!(aligned_within(rows, Some(32)), wanted);
        assert_eq!(aligned_within(rows, Some(80)), aligned(rows, &[]));
        assert_eq!(aligned_within(rows, None), aligned(rows, &[]));
        // A terminal that has no room at all.
        assert!(aligned_within(rows, Some(5)).lines().all(|line| line.len() <= 30));
    }
}
