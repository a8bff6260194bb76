//! What decides the week of a row.

/// What decides a row's week, and so its `row_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOf {
    /// The instant in this column.
    Column(&'static str),
    /// The first date of `partitionid`, else the instant in this column.
    PartitionIdOr(&'static str),
    /// The row that it was derived from.
    Parent,
    /// The table is not partitioned; its files are sorted by this column.
    Unpartitioned(&'static str),
}

impl TimeOf {
    /// Whether there are weeks at all.
    pub(crate) const fn is_partitioned(self) -> bool {
        !matches!(self, Self::Unpartitioned(_))
    }
}
