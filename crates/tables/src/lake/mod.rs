//! Tables that the program makes itself: decoded payloads and bookkeeping.

mod extraction_run;
mod extraction_slice;
mod payload;
mod rejected_record;

pub use extraction_run::EXTRACTION_RUN;
pub use extraction_slice::EXTRACTION_SLICE;
pub use payload::PAYLOAD;
pub use rejected_record::REJECTED_RECORD;
