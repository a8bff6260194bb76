//! The merge mode: what a commit does about rows that the table has already.

/// How new rows join those of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMode {
    /// No key is in the table yet and none comes twice: nothing is looked up.
    Append,
    /// A new row replaces the table's row of the same key, whatever its week and time, if it is newer.
    Upsert,
    /// An upsert of rows that were read before: of equal versions the one that was read later stays.
    UpsertReread,
}
