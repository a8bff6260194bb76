//! Nothing: this package is its test binary `it`.
