//! Runs extractor, decoder and writer together.
//!
//! [`run`] reads as the spine of the house: slices from the configuration and the ledger, pages from the service,
//! batches on rayon, files and one commit per slice, then the slice's ledger row; after the rows the payloads that they
//! name walk the same way. The ledger is the only state that resume reads: a run that was killed is continued by the next
//! one.

mod cells;
mod check;
mod cpu;
mod dataverse;
mod error;
mod estimate;
mod event;
mod graph;
mod ledger;
mod payloads;
mod replay;
mod report;
mod run;
mod settings;
mod slice_error;

pub use check::{Finding, check};
pub use error::Error;
pub use estimate::{CALLS_PER_HOUR, Estimate, GraphEstimate, TableEstimate, estimate};
pub use event::{Event, Observer};
pub use replay::{ReplaySettings, replay};
pub use report::{EndedEarly, Report, RunOutcome, SliceStatus, StoppedTable, TableReport};
pub use run::run;
pub use settings::{DataverseJob, Deletes, GraphJob, RunOptions, Settings, Stop, UserSelector};
