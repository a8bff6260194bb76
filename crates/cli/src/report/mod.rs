//! The page that `report` writes: one HTML file that needs no network and is readable without scripts.
//!
//! [`figures`] asks the shipped queries for numbers, `sections` says which chart shows which of them, `chart/` draws them,
//! [`page`] puts text, tables, style and script together. Nothing here defines a figure, reads a clock, the configuration
//! or the environment, or writes a file.

mod answer;
mod chart;
mod data;
mod figures;
mod measures;
mod numbers;
mod page;
mod parameters;
mod sections;
mod table;
mod weeks;

pub(crate) use figures::Figures;
pub(crate) use page::page;
pub(crate) use parameters::{CHOSEN, ReportParameters};

#[cfg(test)]
mod tests;
