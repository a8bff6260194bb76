//! Runs extractor, decoder and writer together.
//!
//! [`run`] reads as the spine of the house: slices from the configuration and the ledger, pages from the service,
//! batches on rayon, files and one commit per slice, then the slice's ledger row; after the rows the payloads that they
//! name walk the same way. The ledger is the only state: a run that was killed is continued by the next one.

mod cpu;
mod error;
mod event;
mod halt;
mod ledger;
mod payloads;
mod plan;
mod rejects;
mod report;
mod run;
mod settings;
mod slice;

pub use error::Error;
pub use event::{Event, Observer};
pub use report::{Outcome, Report, TableReport};
pub use run::run;
pub use settings::{DataverseJob, Request, Settings, Stop};
