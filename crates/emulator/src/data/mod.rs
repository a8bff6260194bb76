//! Made-up rows of Dataverse tables: generated from a seed or explicit in a scenario, kept as the JSON that is sent.
//!
//! Knows no HTTP and no OData. `random`, `text`, `json` and `json_fields` also serve the interactions of Graph.

pub(crate) mod change_log;
pub(crate) mod column_value;
pub(crate) mod columns;
pub(crate) mod dataset;
pub(crate) mod explicit_rows;
pub(crate) mod generate;
pub(crate) mod interaction_context;
pub(crate) mod json;
pub(crate) mod json_fields;
pub(crate) mod payload;
pub(crate) mod plan;
pub(crate) mod prose;
pub(crate) mod random;
pub(crate) mod representatives;
pub(crate) mod row_facts;
pub(crate) mod row_links;
pub(crate) mod row_renderer;
pub(crate) mod row_snapshot;
pub(crate) mod session;
pub(crate) mod table_store;
pub(crate) mod text;
pub(crate) mod versions;
