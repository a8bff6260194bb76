//! `EntityDefinitions`: metadata of tables and columns, in the two shapes that the extractor reads.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query-metadata-web-api>

pub(crate) mod choices;
pub(crate) mod column_metadata;
pub(crate) mod definitions;
pub(crate) mod options;
