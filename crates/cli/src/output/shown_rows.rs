//! How many rows of a result a terminal shows, and what it says of the others.

use crate::output::wording::grouped;

/// Rows that are shown.
pub(crate) const SHOWN: usize = 40;

/// Rows that are counted: nobody waits for a large table to be read to its end for the sake of forty rows.
const COUNTED: usize = 100_000;

/// The rows of a result as they come: those that are shown, and the number of all.
#[derive(Debug, Default)]
pub(crate) struct ShownRows {
    rows: usize,
}

impl ShownRows {
    /// Counts so many rows more, and tells how many of them are shown: the first ones.
    pub(crate) fn take(&mut self, rows: usize) -> usize {
        let shown = SHOWN.saturating_sub(self.rows).min(rows);
        self.rows += rows;
        shown
    }

    /// Whether further rows are counted.
    pub(crate) fn wants_more(&self) -> bool {
        self.rows <= COUNTED
    }

    /// What is said below the rows, unless all of them are shown.
    pub(crate) fn footer(&self) -> Option<String> {
        let all = if self.wants_more() {
            grouped(self.rows as u64)
        } else {
            format!("more than {}", grouped(COUNTED as u64))
        };
        (self.rows > SHOWN).then(|| footer("first", &all))
    }
}

/// The line below the rows that are shown: `which` they are, such as `first`, of how many, and how to get all.
pub(crate) fn footer(which: &str, all: &str) -> String {
    format!("... the {which} {SHOWN} of {all} rows: `--output FILE` or a pipe gets all of them, in the query's order\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_rows_are_shown_and_all_are_counted() {
        let mut rows = ShownRows::default();
        assert_eq!((rows.take(30), rows.take(10), rows.footer()), (30, 10, None));
        assert_eq!((rows.take(0), rows.take(1_500), rows.wants_more()), (0, 0, true));
        let words =
            "... the first 40 of 1,540 rows: `--output FILE` or a pipe gets all of them, in the query's order\n";
        assert_eq!(rows.footer().unwrap(), words);
        assert_eq!(ShownRows::default().take(1_000), 40);
    }

    #[test]
    fn a_large_table_is_not_read_to_its_end() {
        let mut rows = ShownRows::default();
        rows.take(COUNTED);
        assert!(rows.wants_more() && rows.footer().unwrap().contains(" of 100,000 rows: "));
        rows.take(1);
        assert!(!rows.wants_more() && rows.footer().unwrap().contains(" of more than 100,000 rows: "));
    }
}
