//! File addresses: a File column of a particular row.

use copilot_lake_tables::Table;

/// The address of a file: a File column of a row.
#[derive(Debug, Clone)]
pub struct FileAddress {
    /// The table of the row.
    pub table: &'static Table,
    /// The values of the row's key, in the order of `table.key`.
    pub key: Vec<String>,
    /// The File column.
    pub column: &'static str,
    /// The File's name, as the row has it: in a batch, files come without their names.
    pub name: Option<String>,
}
