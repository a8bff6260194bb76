//! Runs extractor, decoder and writer together.
//!
//! [`run`] follows the path of a byte: slices from the configuration and the ledger, pages from the service, batches on
//! rayon, files and one commit per slice, then the slice's ledger row. Once the rows are in, the payloads that they
//! name take the same path. Resume reads no other state than the ledger: the next run picks up what a killed one left.
//!
//! | folder | what lives there |
//! |---|---|
//! | `run/` | the order of a run, what all of its parts share, and the trait that every service implements |
//! | `dataverse/` | rows of Dataverse, slice by slice, with deletions and people |
//! | `payloads/` | the Files that rows name |
//! | `graph/` | histories of Microsoft 365 Copilot, user by user |
//! | `ledger/` | the bookkeeping tables: runs, slices, rejects |
//! | `replay/` | the archive of raw pages, and reading it again |
//! | `views/` | materialized views, made after the rows |
//! | `status/` | how fresh and complete a lake is |

mod background;
mod cells;
mod check;
mod cpu;
mod dataverse;
mod error;
mod estimate;
mod event;
mod failure_breaker;
mod finding;
mod graph;
mod halving;
mod ledger;
mod maintain;
mod payloads;
mod received;
mod replay;
mod report;
mod reread;
mod run;
mod service_estimate;
mod settings;
mod slice_error;
mod status;
#[cfg(test)]
mod test_lake;
mod views;

pub use check::check;
pub use error::Error;
pub use estimate::estimate;
pub use event::{Event, Observer};
pub use finding::Finding;
pub use maintain::{MaintenanceReport, TableMaintenance, maintain, plan_maintenance};
pub use replay::{ReplaySettings, Shard, finish_shards, replay};
pub use report::{EndedEarly, IdentityReport, Report, RunOutcome, SliceStatus, StoppedTable, TableReport};
pub use run::run;
pub use service_estimate::{EstimatePart, ServiceEstimate};
pub use settings::{DataverseJob, Deletes, GraphJob, RunOptions, ServiceJob, Settings, Stop, UserSelector};
pub use status::{
    FailureGroup, Freshness, LakeStatus, OpenFailures, PayloadStatus, RunStatus, StatusOptions, TableStatus,
    UserCounts, status,
};
pub use views::current_views;
pub use views::view_maker::{ChangedWeeks, ViewBatch, ViewDefinition, ViewError, ViewMaker, ViewPart, ViewParts};
