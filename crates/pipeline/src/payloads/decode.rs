//! Payloads into rows: one for each, and those of transcripts.

use copilot_lake_decoder::{DecodedPayloads, RawPayload, decode_payloads};
use copilot_lake_tables::{Instant, PAYLOAD};

use crate::cpu;
use crate::error::Error;
use crate::received::check_decoded;

/// Decodes payloads on all cores. Their bytes are freed as soon as that is done.
pub(crate) async fn decode_checked<B: AsRef<[u8]> + Send + Sync + 'static>(
    payloads: Vec<RawPayload<B>>,
    extracted_at: Instant,
) -> Result<DecodedPayloads, Error> {
    let received = payloads.len() as u64;
    let decoded = cpu::run_on_rayon(move || decode_payloads(&payloads, extracted_at)).await?;
    let rows = decoded.payloads.iter().map(|(_, batch)| batch.num_rows() as u64).sum();
    check_decoded(&PAYLOAD, received, rows)?;
    Ok(decoded)
}
