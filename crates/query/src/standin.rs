//! Stands in for the writer's types until they exist.
use copilot_lake_tables::Week;
#[derive(Debug, Clone)]
pub(crate) struct LakeFile { pub(crate) path: String, pub(crate) size: u64, pub(crate) rows: u64, pub(crate) week: Option<Week> }
