//! Made-up rows of Dataverse tables, generated from a seed or given by a scenario, and kept as the JSON that is sent.
//!
//! Knows no HTTP and no OData. What rows say comes from the files of `templates/`, picked by the seed. `random`, `template`,
//! `texts`, `json_writer` and `json_fields` also serve the interactions of Graph.

pub(crate) mod change_log;
pub(crate) mod column_value;
pub(crate) mod columns;
pub(crate) mod context_json;
pub(crate) mod dataset;
pub(crate) mod explicit_rows;
pub(crate) mod file_content;
pub(crate) mod generate;
pub(crate) mod generated_day;
pub(crate) mod generation_plan;
pub(crate) mod json_fields;
pub(crate) mod json_writer;
pub(crate) mod prose;
pub(crate) mod random;
pub(crate) mod representatives;
pub(crate) mod row_facts;
pub(crate) mod row_links;
pub(crate) mod row_renderer;
pub(crate) mod row_snapshot;
pub(crate) mod row_versions;
pub(crate) mod table_store;
pub(crate) mod template;
pub(crate) mod texts;
