//! Rows of Dataverse: which slices are read, and how their pages, deletions and people come into the lake.

pub(crate) mod coverage;
pub(crate) mod deletes;
pub(crate) mod ingest;
pub(crate) mod labels;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod recovery;
pub(crate) mod schema;
pub(crate) mod slice;
pub(crate) mod slices;
