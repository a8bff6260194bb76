//! Values of a page that do not fit.

/// A value that does not fit, before its row's key is known.
pub(crate) struct RowMisfit {
    pub(crate) row: usize,
    pub(crate) column: &'static str,
    pub(crate) reason: String,
    pub(crate) raw: String,
}
