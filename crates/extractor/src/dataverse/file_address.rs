//! File addresses: which File of which row.

use copilot_lake_tables::Table;

/// Which file: a File column of a row.
#[derive(Debug, Clone)]
pub struct FileAddress {
    /// The table of the row.
    pub table: &'static Table,
    /// The row's key, part by part in the order of `table.key`.
    pub key: Vec<String>,
    /// The File column.
    pub column: &'static str,
}
