//! Tables that the program makes itself: decoded payloads and bookkeeping.

mod extraction_run;
mod extraction_slice;
mod payload;
mod rejected_record;
mod transcript_message;
mod transcript_source;

pub use extraction_run::EXTRACTION_RUN;
pub use extraction_slice::EXTRACTION_SLICE;
pub use payload::PAYLOAD;
pub use rejected_record::REJECTED_RECORD;
pub use transcript_message::TRANSCRIPT_MESSAGE;
pub use transcript_source::TRANSCRIPT_SOURCE;
